//! Notifications (Desktop Notifications Specification 1.2), each topic in one place.

use std::collections::{BTreeMap, HashMap};

use zbus::zvariant::Value;
use zbus::{Connection, MatchRule, Message, MessageStream, message};

use super::{APP_ID, Notice, Topic};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// The action of a click on the notification itself.
const CLICK: &str = "default";
/// Longest line that is handed to a notification, in characters.
const LONGEST: usize = 200;

/// What is on the screen now.
pub(super) struct Shown {
    /// What the server says of it.
    pub(super) signals: MessageStream,
    by_topic: BTreeMap<Topic, u32>,
    /// The server reads the body as markup.
    markup: Option<bool>,
}

impl Shown {
    pub(super) async fn new(connection: &Connection) -> zbus::Result<Self> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(NAME)?
            .interface(NAME)?
            .member("ActionInvoked")?
            .build();
        let signals = MessageStream::for_match_rule(rule, connection, Some(8)).await?;
        Ok(Self { signals, by_topic: BTreeMap::new(), markup: None })
    }

    /// Shows a notice in the place of the last one about the same.
    pub(super) async fn show(&mut self, connection: &Connection, notice: &Notice) {
        if self.markup.is_none() {
            let answer = connection.call_method(Some(NAME), PATH, Some(NAME), "GetCapabilities", &()).await;
            self.markup = answer
                .and_then(|answer| answer.body().deserialize::<Vec<String>>())
                .map(|can| can.iter().any(|can| can == "body-markup"))
                .ok();
        }
        let body = plain(&notice.body);
        let body = if self.markup.unwrap_or(true) { escaped(&body) } else { body };
        let hints: HashMap<&str, Value<'_>> = HashMap::from([
            ("desktop-entry", Value::from(APP_ID)),
            (
                "category",
                Value::from(match notice.topic {
                    Topic::Knock => "presence.online",
                    Topic::Connection => "network",
                }),
            ),
            ("urgency", Value::from(1_u8)),
        ]);
        let replaced = self.by_topic.get(&notice.topic).copied().unwrap_or(0);
        let actions = [CLICK, ""];
        let content = ("Conclave", replaced, APP_ID, plain(&notice.title), body, actions.as_slice(), hints, -1_i32);
        let answer = connection.call_method(Some(NAME), PATH, Some(NAME), "Notify", &content).await;
        match answer.and_then(|answer| answer.body().deserialize::<u32>()) {
            Ok(id) => drop(self.by_topic.insert(notice.topic, id)),
            Err(error) => tracing::debug!(%error, "a notification could not be shown"),
        }
    }

    /// Takes everything off the screen.
    pub(super) async fn withdraw(&mut self, connection: &Connection) {
        for id in std::mem::take(&mut self.by_topic).into_values() {
            // One that is gone already is an error that means nothing.
            let _ = connection.call_method(Some(NAME), PATH, Some(NAME), "CloseNotification", &id).await;
        }
    }

    /// Whether a signal says that one of ours was clicked.
    pub(super) fn is_click(&self, signal: &Message) -> bool {
        signal
            .body()
            .deserialize::<(u32, &str)>()
            .is_ok_and(|(id, action)| action == CLICK && self.by_topic.values().any(|shown| *shown == id))
    }
}

/// One line without control characters, bounded.
fn plain(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).take(LONGEST).collect()
}

/// Text that says the same when it is read as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_one_bounded_line_and_no_markup() {
        assert_eq!(escaped(&plain("<b>Ana</b>\n&\u{7}")), "&lt;b&gt;Ana&lt;/b&gt; &amp; ");
        assert_eq!(plain(&"é".repeat(1000)).chars().count(), LONGEST);
    }
}
