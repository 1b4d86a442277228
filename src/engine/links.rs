//! What a pasted link is, told while it is typed: nobody is contacted for it.

use std::path::Path;

use crate::engine::store::contacts::Contacts;
use crate::engine::view::{LinkCheck, LinkFacts};
use crate::engine::{unix_now, words};
use crate::protocol::invite::{Invite, InviteError};

/// Longest text that is looked at; a longer one is said to be too long at once.
const LONGEST: usize = 1 << 16;

/// What an invite says, with what this device knows of its host.
pub(crate) fn facts(invite: &Invite, contacts: &Contacts) -> LinkFacts {
    LinkFacts {
        host_name: invite.host_name.clone(),
        host_fingerprint: invite.host_identity.fingerprint(),
        host: contacts.familiarity(&invite.host_identity, invite.host_name.as_deref().unwrap_or_default()),
        relay: shown_relays(invite),
        expires: invite.expires,
    }
}

/// All relays of a link that are names or that it leads with: any of them may be the one that is contacted.
fn shown_relays(invite: &Invite) -> String {
    let mut shown: Vec<String> = Vec::new();
    for relay in &invite.relays {
        let text = relay.to_host_and_port();
        if !shown.contains(&text) {
            shown.push(text);
        }
    }
    shown.join(", ")
}

/// A function that checks link texts against the people kept in `folder`. It reads the file anew each time that a
/// good link is found, so that somebody verified a minute ago is known.
pub fn link_checker(folder: &Path) -> Box<dyn Fn(&str) -> LinkCheck> {
    let folder = folder.to_owned();
    Box::new(move |text| {
        if text.len() > LONGEST {
            return LinkCheck::Bad(words::invite_error(&InviteError::TooLong));
        }
        match Invite::parse(text, unix_now()) {
            Ok(invite) => match Contacts::load(&folder) {
                Ok(contacts) => LinkCheck::Good(facts(&invite, &contacts)),
                Err(error) => LinkCheck::Bad(words::contacts_error(&error)),
            },
            Err(InviteError::Empty) => LinkCheck::Empty,
            Err(error) => LinkCheck::Bad(words::invite_error(&error)),
        }
    })
}
