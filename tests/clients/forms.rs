//! The forms of a page, as far as the browser of this suite reads HTML.

/// A form, and what it would send.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) inputs: Vec<Control>,
    pub(crate) buttons: Vec<Control>,
}

/// An input or a button.
#[derive(Debug, Default, Clone)]
pub(crate) struct Control {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The forms of a document, in order.
pub(crate) fn forms(html: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut open: Option<Form> = None;
    let mut rest = html;
    while let Some((_, behind)) = rest.split_once('<') {
        let end = end_of_tag(behind);
        let tag = &behind[..end];
        rest = &behind[end..];
        let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        match name {
            "form" => {
                let action = attribute(tag, "action").unwrap_or_default();
                open = Some(Form { action, ..Form::default() });
            }
            "input" | "button" => {
                let Some(form) = &mut open else { continue };
                let value = |name| attribute(tag, name).unwrap_or_default();
                let control = Control { name: value("name"), value: value("value") };
                let list = if name == "input" { &mut form.inputs } else { &mut form.buttons };
                list.push(control);
            }
            _ if tag.starts_with("/form") => forms.extend(open.take()),
            _ => {}
        }
    }
    forms
}

/// Where the `>` is that ends a tag: not one in quotes.
fn end_of_tag(text: &str) -> usize {
    let mut quoted = None;
    for (at, c) in text.char_indices() {
        match (quoted, c) {
            (None, '>') => return at,
            (None, '"' | '\'') => quoted = Some(c),
            (Some(quote), c) if c == quote => quoted = None,
            _ => {}
        }
    }
    text.len()
}

/// The value of an attribute that is written in double quotes.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, behind) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = behind.split_once('"')?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(value.to_owned(), |value, (from, to)| value.replace(from, to)))
}

// Goal: the forms of a page are read as a browser reads them. Method: a page with two, with hidden
// fields, escaped values, and buttons.
#[test]
fn forms_are_read() {
    let page = r#"<p>a</p><form action="/out"><button>Out</button></form>
        <form method="post" action="/a?b=1&amp;c=&quot;2&gt;&quot;"><input type="hidden" name="csrf"
        value="x"><label>Name<input type="text" name="username" required></label>
        <button name="decision" value="approve">Yes</button></form><input name="outside">"#;
    let read = forms(&page.replace("\n        ", " "));
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].action.as_str(), read[0].buttons.len()), ("/out", 1));
    assert_eq!(read[1].action, "/a?b=1&c=\"2>\"");
    let inputs: Vec<&str> = read[1].inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(inputs, ["csrf", "username"]);
    assert_eq!(read[1].inputs[0].value, "x");
    assert_eq!(read[1].buttons[0].value, "approve");
}
