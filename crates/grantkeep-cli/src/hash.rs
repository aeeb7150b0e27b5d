//! `grantkeep hash-password`: what stands for a password in a file of people.
//!
//! The password never is an argument, which every user of the machine could see. On a terminal it
//! is asked for twice, and not shown.

use grantkeep_server::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use zeroize::Zeroizing;

/// Prints the hash of the password that is asked for.
///
/// # Errors
/// For a password that the server would not take for a new one, and where it cannot be read or the
/// hash cannot be written.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    let password = if io::stdin().is_terminal() { asked()? } else { one_line()? };
    let chars = password.chars().count();
    if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
        let bounds = format!("{PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX}");
        return Err(format!("the password has {chars} characters: take one of {bounds}").into());
    }
    let hash = grantkeep_server::hash(&password)?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(())
}

fn asked() -> Result<Zeroizing<String>, Box<dyn Error>> {
    let password = Zeroizing::new(rpassword::prompt_password("Password: ")?);
    let again = Zeroizing::new(rpassword::prompt_password("Once more: ")?);
    if password != again {
        return Err("the two passwords differ".into());
    }
    Ok(password)
}

fn one_line() -> Result<Zeroizing<String>, Box<dyn Error>> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
