//! Options of a headless call that say which relays and ways it may use. They stand in for the settings of the same name.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::settings::{Settings, Turn};

/// Longest file with a password, in bytes.
const LONGEST_PASSWORD: u64 = 4096;

/// Relays and ways that a call may use.
#[derive(Args, Clone, Default)]
pub struct RouteArgs {
    /// Send and receive through the TURN server only, and show others no address of this machine
    #[arg(long)]
    pub hide_address: bool,
    /// TURN server to pass media on: HOST:PORT over UDP, turn:HOST:PORT?transport=tcp over TCP, turns:HOST:PORT over TLS
    #[arg(long, value_name = "HOST:PORT")]
    pub turn: Option<String>,
    /// User name at the TURN server
    #[arg(long, value_name = "NAME", requires = "turn")]
    pub turn_user: Option<String>,
    /// File whose first line is the password at the TURN server
    #[arg(long, value_name = "FILE", requires = "turn")]
    pub turn_password_file: Option<PathBuf>,
    /// File with the certificate authority of your TURN server (PEM), if it has its own
    #[arg(long, value_name = "FILE", requires = "turn")]
    pub turn_ca: Option<PathBuf>,
    /// Use no other relay and TURN server than this (can be repeated)
    #[arg(long, value_name = "HOST")]
    pub only_relay: Vec<String>,
    /// Use only addresses in this network, such as 192.0.2.0/24 (can be repeated)
    #[arg(long, value_name = "CIDR")]
    pub only_network: Vec<String>,
    /// Use only addresses in this country, such as DE, by the table of countries (can be repeated)
    #[arg(long, value_name = "CC")]
    pub only_country: Vec<String>,
    /// Table that says which addresses belong to which country, `low,high,CC` a line
    #[arg(long, value_name = "FILE")]
    pub country_table: Option<PathBuf>,
}

impl RouteArgs {
    /// The settings with these options in place of theirs.
    ///
    /// # Errors
    /// A sentence, if the password cannot be read.
    pub(super) fn applied_to(&self, settings: &Settings) -> Result<Settings, String> {
        let mut out = settings.clone();
        out.hide_address |= self.hide_address;
        if let Some(server) = &self.turn {
            let password = self.turn_password_file.as_ref().map_or(Ok(String::new()), |path| {
                first_line(path).map_err(|error| {
                    format!("The password for the TURN server cannot be read from {}: {error}.", path.display())
                })
            })?;
            let user = self.turn_user.clone().unwrap_or_default();
            out.turn = Some(Turn { server: server.clone(), user, password, authority: self.turn_ca.clone() });
        }
        for (given, kept) in [
            (&self.only_relay, &mut out.only_relays),
            (&self.only_network, &mut out.only_networks),
            (&self.only_country, &mut out.only_countries),
        ] {
            if !given.is_empty() {
                *kept = given.clone();
            }
        }
        if self.country_table.is_some() {
            out.country_table.clone_from(&self.country_table);
        }
        Ok(out)
    }
}

fn first_line(path: &PathBuf) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST_PASSWORD).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_replace_what_the_settings_say_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hush\nmore\n").unwrap();
        let kept = Settings {
            hide_address: true,
            only_relays: vec!["kept.example".into()],
            only_networks: vec!["10.0.0.0/8".into()],
            ..Settings::default()
        };
        assert_eq!(RouteArgs::default().applied_to(&kept).unwrap(), kept);
        let args = RouteArgs {
            turn: Some("turn.example".into()),
            turn_user: Some("ana".into()),
            turn_password_file: Some(file),
            turn_ca: Some("authority.pem".into()),
            only_network: vec!["192.0.2.0/24".into()],
            ..RouteArgs::default()
        };
        let (server, user, password) = ("turn.example".into(), "ana".into(), "hush".into());
        let turn = Turn { server, user, password, authority: Some("authority.pem".into()) };
        let expected = Settings { turn: Some(turn), only_networks: vec!["192.0.2.0/24".into()], ..kept.clone() };
        assert_eq!(args.applied_to(&kept).unwrap(), expected);
        let missing = RouteArgs { turn_password_file: Some("/nonexistent".into()), ..args };
        assert!(missing.applied_to(&kept).unwrap_err().contains("/nonexistent"));
    }
}
