//! What PostgreSQL alone can be given: two coordinators, sessions that end, a server that goes away.

use std::time::Duration;

use tokio::sync::watch;

use crate::store::leadership::{Leadership, Led, Waiting};
use crate::store::location::Location;
use crate::store::postgres::leader::Candidate;

pub(super) async fn candidate(url: &str, address: &str) -> Candidate {
    let place: Location = url.parse().unwrap();
    let name = place.to_string();
    let Location::Postgres(options) = place else { panic!("{name} is not a database") };
    Candidate::open(&options, name, address.to_owned()).await.unwrap()
}

/// Waits until a new coordinator leads.
pub(super) async fn lead(url: &str, address: &str) -> Led {
    leads(&candidate(url, address).await).await
}

/// Waits until it leads; one that never will says why.
pub(super) async fn leads(candidate: &Candidate) -> Led {
    let waiting = watch::Sender::new(Waiting::Looking);
    let led = tokio::time::timeout(Duration::from_secs(60), candidate.acquire(&waiting)).await;
    led.unwrap_or_else(|_| panic!("it does not lead: {:?}", waiting.borrow()))
}
