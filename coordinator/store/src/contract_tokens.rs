//! What every backend must remember of tokens: who may do what, by hashes alone; and under which key sessions are sealed.

use crate::tokens::TokenRecord;
use crate::{Role, SessionKey};

use super::*;

fn token(name: &str, role: Role, expires_ms: Option<i64>) -> TokenRecord {
    TokenRecord {
        id: format!("id of {name}"),
        name: name.to_owned(),
        role,
        digest: Digest::of(name.as_bytes()),
        created_ms: 5,
        created_by: "me".to_owned(),
        expires_ms,
        revoked_ms: None,
    }
}

pub(super) async fn tokens_come_back_and_stay_when_they_are_revoked(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.tokens().await.unwrap(), []);
    let made: Vec<_> = (0..).zip(Role::ALL).map(|(number, role)| token(role.name(), role, Some(number))).collect();
    for token in &made {
        store.add_token(token).await.unwrap();
    }
    let ever = token("for ever", Role::Read, None);
    store.add_token(&ever).await.unwrap();
    assert!(store.add_token(&ever).await.is_err(), "an id is there once");
    assert!(store.revoke_token("id of admin", 9, "them").await.unwrap());
    assert!(!store.revoke_token("id of admin", 10, "them").await.unwrap(), "what is revoked stays as it is");
    assert!(!store.revoke_token("id of nobody", 10, "them").await.unwrap());
    store.close().await;
    drop(store);
    let store = place.open().await;
    let mut found = store.tokens().await.unwrap();
    let mut expected: Vec<_> = made.into_iter().chain([ever]).collect();
    for token in expected.iter_mut().filter(|token| token.name == "admin") {
        token.revoked_ms = Some(9);
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    expected.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(found, expected);
    let audit = store.audit(&AuditFilter { limit: 100, ..AuditFilter::default() }).await.unwrap();
    let told = |action: AuditAction| audit.iter().filter(|row| row.action == action).count();
    assert_eq!((told(AuditAction::TokenCreated), told(AuditAction::TokenRevoked)), (5, 1));
    let revoked = audit.iter().find(|row| row.action == AuditAction::TokenRevoked).unwrap();
    assert_eq!((revoked.actor.as_str(), revoked.detail.as_str()), ("them", "admin"));
    store.close().await;
}

pub(super) async fn the_first_session_key_stays(place: &dyn Place) {
    let (first, second) = (SessionKey::generate().unwrap(), SessionKey::generate().unwrap());
    let store = place.open().await;
    assert_eq!(store.session_key().await.unwrap(), None);
    store.keep_session_key(&first, 5).await.unwrap();
    store.keep_session_key(&second, 6).await.unwrap();
    assert_eq!(store.session_key().await.unwrap(), Some(first.clone()));
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.session_key().await.unwrap(), Some(first));
    store.close().await;
}
