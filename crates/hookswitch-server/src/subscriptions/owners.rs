//! The owners of subscriptions, as users and applications are at this moment.

use std::collections::HashMap;

use hookswitch_core::subscription::{Hearing, Owner, Subscription};
use hookswitch_model::ExtensionId;
use hookswitch_store::{Reader, StoreError};

use crate::auth::Identity;
use crate::auth::{self, Application, User};
use crate::rights::Rights;

/// The users and applications of a store, each looked up once.
pub(super) struct Owners<'a> {
    reader: &'a Reader,
    rights: Rights,
    users: HashMap<ExtensionId, Option<User>>,
    applications: HashMap<Box<str>, Option<Application>>,
}

impl<'a> Owners<'a> {
    pub(super) fn of(reader: &'a Reader, rights: Rights) -> Self {
        Self { reader, rights, users: HashMap::new(), applications: HashMap::new() }
    }

    /// Returns what a subscription hears of, and whether it keeps something that the rule of roles would take.
    pub(super) fn hearing(
        &mut self,
        subscription: &Subscription,
        is_earlier: bool,
    ) -> Result<(Hearing, bool), StoreError> {
        let who = self.identity(&subscription.owner)?;
        Ok(self.rights.hearing(who.as_ref().map_err(|reason| *reason), subscription, is_earlier))
    }

    /// The identity of an owner, or why there is none any more.
    fn identity(&mut self, owner: &Owner) -> Result<Result<Identity, &'static str>, StoreError> {
        if !self.users.contains_key(&owner.extension) {
            let user = auth::read::<User>(self.reader, auth::USER, &owner.extension.to_string())?;
            self.users.insert(owner.extension, user);
        }
        if !self.applications.contains_key(&owner.client_id) {
            let application = Application::find(self.reader, &owner.client_id)?;
            self.applications.insert(owner.client_id.clone(), application);
        }
        let account = owner.account.to_string();
        let user = self.users.get(&owner.extension).and_then(Option::as_ref);
        let user = user.filter(|user| *user.generation == *owner.generation && user.account == account);
        let application = self.applications.get(&owner.client_id).and_then(Option::as_ref);
        let application = application.filter(|application| application.serves(&account));
        Ok(match (user, application) {
            (None, _) => Err("The user who has created it is not there any more"),
            (Some(user), _) if user.disabled => Err("The user is disabled"),
            (_, None) => Err("The application is not there any more"),
            (_, Some(application)) if application.disabled => Err("The application is disabled"),
            (Some(user), Some(application)) => Ok(Identity {
                account: owner.account,
                extension: owner.extension,
                scopes: application.scopes,
                permissions: user.permissions,
                admin: user.admin,
                console: user.console_role(),
            }),
        })
    }
}
