//! What setters take: a value, or an `Option` of it where a request may have left it out.

use crate::request::scope::Scopes;

/// A text, or bytes, that a request may have left out: what it is, or an `Option` of that. A
/// reference to a `String` is a text, and a map's `get` an optional one.
///
/// ```
/// use grantkeep_grants::Presented;
/// use std::collections::HashMap;
///
/// let params = HashMap::from([("redirect_uri".to_owned(), "https://app.example/cb".to_owned())]);
/// let presented = Presented::by("client-1")
///     .redirect_uri(params.get("redirect_uri"))
///     .verifier(params.get("code_verifier"));
/// ```
pub trait Optional<'a, T: ?Sized> {
    /// The text, if there is one.
    fn optional(self) -> Option<&'a T>;
}

impl<'a, T: ?Sized + 'a, S: AsRef<T> + ?Sized> Optional<'a, T> for &'a S {
    fn optional(self) -> Option<&'a T> {
        Some(self.as_ref())
    }
}

impl<'a, T: ?Sized + 'a, S: AsRef<T> + ?Sized> Optional<'a, T> for Option<&'a S> {
    fn optional(self) -> Option<&'a T> {
        self.map(AsRef::as_ref)
    }
}

/// A parameter of a request. An empty one counts as left out (RFC 6749 section 3.1).
pub(crate) fn parameter<'a>(text: impl Optional<'a, str>) -> Option<&'a str> {
    text.optional().filter(|text| !text.is_empty())
}

/// Several texts, such as scopes: a list, one text alone, or an `Option` of either. A list without
/// texts is not left out: it names none.
pub trait Texts {
    /// Shows each of them; false if they were left out.
    fn each(self, see: &mut dyn FnMut(&str)) -> bool;
}

impl<T: Texts> Texts for Option<T> {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        self.is_some_and(|texts| texts.each(see))
    }
}

impl<S: AsRef<str>> Texts for &[S] {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        for text in self {
            see(text.as_ref());
        }
        true
    }
}

impl<S: AsRef<str>, const N: usize> Texts for &[S; N] {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        self.as_slice().each(see)
    }
}

impl<S: AsRef<str>, const N: usize> Texts for [S; N] {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        self.as_slice().each(see)
    }
}

impl<S: AsRef<str>> Texts for &Vec<S> {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        self.as_slice().each(see)
    }
}

impl<S: AsRef<str>> Texts for Vec<S> {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        self.as_slice().each(see)
    }
}

impl Texts for &str {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        see(self);
        true
    }
}

impl Texts for &String {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        self.as_str().each(see)
    }
}

impl Texts for &Scopes {
    fn each(self, see: &mut dyn FnMut(&str)) -> bool {
        self.as_str().each(see)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn listed(texts: impl Texts) -> Option<Vec<String>> {
        let mut seen = Vec::new();
        texts.each(&mut |text| seen.push(text.to_owned())).then_some(seen)
    }

    // Goal: RFC 6749 section 3.1, a parameter that was left out, or is empty, is none. Method: each
    // form in which a server may have it.
    #[test]
    fn what_was_left_out_is_none() {
        let owned = "x".to_owned();
        let params = HashMap::from([("x".to_owned(), "x".to_owned())]);
        for given in [parameter("x"), parameter(&owned), parameter(Some("x"))] {
            assert_eq!(given, Some("x"));
        }
        assert_eq!(parameter(params.get("x")), Some("x"));
        assert_eq!(parameter(Some(owned).as_deref()), Some("x"));
        assert_eq!(parameter(params.get("y")), None);
        assert_eq!(parameter(""), None);
        assert_eq!(parameter(Some("")), None);
        assert_eq!(Optional::<[u8]>::optional(b""), Some(&b""[..]), "bytes may be none");
    }

    // Goal: a list that names none is not one that was left out. Method: both, in each form.
    #[test]
    fn a_list_of_none_is_not_left_out() {
        let two = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(listed(["a", "b"]), two);
        let borrowed = &["a", "b"];
        assert_eq!(listed(borrowed), two);
        assert_eq!(listed(two.as_ref()), two);
        assert_eq!(listed(two.clone()), two);
        assert_eq!(listed(two.as_deref()), two);
        assert_eq!(listed("a b"), Some(vec!["a b".to_owned()]));
        assert_eq!(listed(Some(&"a b".to_owned())), Some(vec!["a b".to_owned()]));
        assert_eq!(listed(Vec::<String>::new()), Some(Vec::new()));
        assert_eq!(listed(Some([""; 0])), Some(Vec::new()));
        assert_eq!(listed(None::<&str>), None);
        assert_eq!(listed(None::<&[&str]>), None);
    }
}
