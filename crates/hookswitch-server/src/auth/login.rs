//! Log-in of a user by name and password.

use std::net::IpAddr;
use std::sync::Arc;

use hookswitch_core::directory::Account;

use super::application::{Application, CONSOLE, User, read};
use super::grant::{Subject, TokenRequest, TokenResponse};
use super::{OAuth, Refusal};

impl OAuth {
    /// Signs a user in to the console, whose page takes names and passwords itself; what the user may do there is asked
    /// with each request.
    ///
    /// # Errors
    /// One answer, and after the same time, whatever is wrong.
    pub async fn sign_in(&self, name: &str, password: &str, from: IpAddr) -> Result<TokenResponse, Refusal> {
        let application = Application::console();
        let subject = self.log_in(name, None, password, &application, from).await?;
        self.issue(CONSOLE, &application, subject, TokenRequest::default()).await
    }

    /// The user of a name and a password, if they fit and belong to the account of the application.
    ///
    /// The name is a phone number, an extension number, or both as `number*extension`.
    ///
    /// # Errors
    /// One answer, and after the same time, whatever is wrong.
    pub async fn log_in(
        &self,
        username: &str,
        extension: Option<&str>,
        password: &str,
        application: &Application,
        from: IpAddr,
    ) -> Result<Subject, Refusal> {
        let named = self.named(username, extension, application);
        let who = named.clone().unwrap_or_else(|| format!("{username} {}", extension.unwrap_or_default()));
        let whose = ["user", &who];
        let attempt = async {
            let user = match named.clone() {
                None => None,
                Some(id) => {
                    self.store.read_async(move |reader| read::<User>(reader, super::USER, &id)).await?
                }
            };
            let user = user.filter(|user| !user.disabled && application.serves(&user.account));
            let hash = user.as_ref().and_then(|user| user.password.clone());
            let fits = self.verify(&whose, from, password, hash).await?;
            let (Some(extension), Some(user), true) = (named, user, fits) else {
                let description = "The name or the password is wrong";
                return Err(Refusal::invalid_grant("OAU-140", description));
            };
            Ok(Subject { extension, password: user.password_mark(), user, credential: None })
        };
        self.guarded(&whose, from, attempt).await
    }

    /// The id of the extension that a name stands for; none if it stands for several, in different accounts.
    fn named(&self, username: &str, extension: Option<&str>, application: &Application) -> Option<String> {
        let directory = self.people.read().ok()?.clone();
        let accounts = directory.accounts().filter(|account| application.serves(&account.id().to_string()));
        let mut found = accounts.filter_map(|account| named(account, username, extension));
        found.next().filter(|_| found.next().is_none())
    }
}

/// The id of the extension that a name stands for in an account.
fn named(account: &Account, username: &str, extension: Option<&str>) -> Option<String> {
    let (number, suffix) = match username.split_once('*') {
        Some((number, extension)) => (number, Some(extension)),
        None => (username, extension),
    };
    let resolve = |number: &str| account.resolve(&Arc::from(number), None).extension;
    let found = match suffix.filter(|suffix| !suffix.is_empty()) {
        // The number names the account: its id, or any number in it.
        Some(suffix) => {
            let id = account.id().to_string();
            let of_account = number == id || number.is_empty() || resolve(number).is_some();
            if of_account { resolve(suffix) } else { None }
        }
        None => resolve(number),
    };
    found.map(|extension| extension.to_string())
}
