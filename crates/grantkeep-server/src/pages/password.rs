//! Changing one's password.
//!
//! 1. The current password is asked for again, since a browser that is signed in may have been left
//!    alone. Wrong ones count against the address and against the person.
//! 2. The new password is the one that counts before anything else is done.
//! 3. Then this browser gets another session, and all others end, the one that it had before among
//!    them: whoever has a copy of its cookie is out as well. Apps and API keys stay.

use crate::pages::layout::{see_other, sentence};
use crate::pages::nav::PASSWORD;
use crate::pages::visit::{Posted, Visit};
use crate::pages::{browsers, guess};
use crate::people::failed;
use crate::session;
use crate::users::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PasswordChange};
use axum::http::{StatusCode, header};
use axum::response::Response;
use grantkeep_axum::Guessed;
use maud::html;

pub(super) async fn page(visit: Visit) -> Response {
    ask(&visit, None, StatusCode::OK)
}

fn ask(visit: &Visit, said: Option<&str>, status: StatusCode) -> Response {
    let (described, invalid) = (said.map(|_| "said"), said.map(|_| "true"));
    let longest = PASSWORD_CHARS_MAX;
    let body = html! {
        p { "Every other browser is signed out when your password changes. Apps that you have \
             connected keep their access, and so do your API keys." }
        form method="post" action=(PASSWORD) class="card" {
            (visit.proof(PASSWORD))
            @if let Some(said) = said { p class="wrong" id="said" role="alert" { (said) } }
            // For what keeps passwords, so that it knows whose this is.
            label class="unseen" {
                "User name"
                input type="text" name="username" value=(visit.subject()) readonly tabindex="-1"
                    autocomplete="username";
            }
            label {
                "Current password"
                input type="password" name="present" required autocomplete="current-password"
                    aria-describedby=[described] aria-invalid=[invalid];
            }
            label {
                "New password"
                input type="password" name="new" required autocomplete="new-password"
                    minlength=(PASSWORD_CHARS_MIN) maxlength=(longest) aria-describedby="long";
            }
            p class="quiet under" id="long" {
                "At least " (PASSWORD_CHARS_MIN) " characters. Several words that you can remember \
                 are better than one that you cannot."
            }
            label {
                "New password, again"
                input type="password" name="again" required autocomplete="new-password"
                    minlength=(PASSWORD_CHARS_MIN) maxlength=(longest);
            }
            p class="choices" { button { "Change the password" } }
        }
    };
    visit.page(PASSWORD, "Password", &body).status(status).render()
}

pub(super) async fn change(posted: Posted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let field = |name| posted.form.get(name).unwrap_or_default();
    let (present, new) = (field("present"), field("new"));
    if let Some(wrong) = fault(present, new, field("again")) {
        return Ok(ask(visit, Some(&wrong), StatusCode::BAD_REQUEST));
    }
    let Some(guess) = guess::take(visit, Guessed::Password, Guessed::Passwords) else {
        let wrong = "Too many failed attempts. Wait a minute, then try again.";
        return Ok(ask(visit, Some(wrong), StatusCode::TOO_MANY_REQUESTS));
    };
    let subject = visit.subject().to_owned();
    let changed = visit.people.users.change_password(
        subject,
        present.to_owned().into(),
        new.to_owned().into(),
    );
    let changed = changed.await;
    if !matches!(changed, Ok(PasswordChange::Wrong)) {
        guess.give_back();
    }
    match changed {
        Ok(PasswordChange::Changed) => signed_in_anew(visit).await,
        Ok(PasswordChange::Wrong) => {
            let wrong = "The current password is wrong.";
            Ok(ask(visit, Some(wrong), StatusCode::FORBIDDEN))
        }
        Err(refused) => {
            let wrong = sentence(refused.description().unwrap_or("please try again"));
            Ok(ask(visit, Some(&wrong), StatusCode::SERVICE_UNAVAILABLE))
        }
    }
}

/// What is wrong with the form, whatever the current password is.
fn fault(present: &str, new: &str, again: &str) -> Option<String> {
    let chars = new.chars().count();
    if present.is_empty() {
        Some("The current password is missing.".to_owned())
    } else if new != again {
        Some("The two new passwords are not the same.".to_owned())
    } else if chars < PASSWORD_CHARS_MIN {
        Some(format!("The new password has less than {PASSWORD_CHARS_MIN} characters."))
    } else if chars > PASSWORD_CHARS_MAX {
        Some(format!("The new password has more than {PASSWORD_CHARS_MAX} characters."))
    } else if new == present {
        Some("The new password is the one that you have.".to_owned())
    } else {
        None
    }
}

/// Gives this browser another session, and ends all others.
async fn signed_in_anew(visit: &Visit) -> Result<Response, Response> {
    let (people, grants) = (&visit.people, visit.grants());
    let opened = session::sign_in(grants, people.cookies, &visit.headers, visit.subject()).await;
    let (session, cookie) = opened.map_err(failed)?;
    browsers::end_others(visit, session.family).await?;
    let mut response = see_other("/account/browsers?done=password-changed");
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
