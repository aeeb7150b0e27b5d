//! What a form may hold, at the edge and one step over it.

use crate::browser::Site;
use axum::http::StatusCode;
use grantkeep_axum::{BODY_BYTES_MAX, PARAMETERS_MAX};

// Goal: a form has no more bytes and no more fields than a request may have, and what is refused
// makes nothing. Method: the form of an API key, filled up to each bound and one step over it.
#[tokio::test]
async fn forms_are_bounded() {
    let site = Site::of("hospitable").await;
    let mut bob = site.signed_in("bob").await;
    let path = "/apps/api-keys/create";
    for (over, status) in [(1, StatusCode::BAD_REQUEST), (0, StatusCode::OK)] {
        let page = bob.page("/apps/api-keys").await;
        // The digest and the number are fields, too, and "&f=" goes before what fills it up.
        let hidden = page.hidden(path, "");
        let sent: usize = hidden.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let name = format!("by bytes {over}");
        let taken = sent + "name=".len() + name.len() + "&f=".len();
        let filling = "f".repeat(BODY_BYTES_MAX - taken + over);
        let fields = [("name", name.as_str()), ("f", filling.as_str())];
        assert_eq!(bob.submit(&page, (path, ""), &fields).await.status, status, "{over} bytes");

        let page = bob.page("/apps/api-keys").await;
        let name = format!("by fields {over}");
        let more = PARAMETERS_MAX - hidden.len() - 1 + over;
        let names: Vec<String> = (0..more).map(|at| format!("f{at}")).collect();
        let mut fields = vec![("name", name.as_str())];
        fields.extend(names.iter().map(|name| (name.as_str(), "x")));
        assert_eq!(bob.submit(&page, (path, ""), &fields).await.status, status, "{over} fields");
    }
    let page = bob.page("/apps/api-keys").await;
    assert!(page.has("by bytes 0") && page.has("by fields 0"));
    assert!(!page.has("by bytes 1") && !page.has("by fields 1"));
}

// Goal: what is typed as a user code is looked up within its bound, and over it is told to be none.
// Method: a code that nobody has, filled up with blanks between its letters.
#[tokio::test]
async fn typed_codes_are_bounded() {
    let site = Site::of("hospitable").await;
    let mut bob = site.signed_in("bob").await;
    for (length, said) in [(40, "There is no such code"), (41, "This is no code")] {
        let page = bob.page("/device").await;
        let code = format!("BCDF{}GHJK", "-".repeat(length - 8));
        let answer = bob.submit(&page, ("/device", ""), &[("user_code", &code)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.has(said), "{length}: {}", answer.text);
    }
}
