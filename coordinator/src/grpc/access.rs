//! The service of tokens, for admins.

use std::sync::Arc;

use sweep_proto::v1;
use sweep_proto::v1::access_service_server::AccessService;
use sweep_store::Store;
use tonic::{Request, Response, Status};

use super::status;
use crate::access::Keyring;
use crate::access::grpc::named;
use crate::convert::{self, MAX_NAME_BYTES};
use crate::engine::Error;
use crate::service::tokens::{self, Wanted, message, wanted};
use crate::unix_ms;

/// The handlers of the service.
#[derive(Clone)]
pub(crate) struct Access {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
}

impl Access {
    /// Changes the tokens of `store`, and of `keyring` with them.
    pub(crate) fn new(store: Arc<dyn Store>, keyring: Arc<Keyring>) -> Self {
        Self { store, keyring }
    }

    async fn create(&self, wanted: Wanted) -> Result<v1::CreateTokenResponse, Error> {
        let (secret, token) = tokens::create(self.store.as_ref(), wanted).await?;
        self.refresh().await?;
        Ok(v1::CreateTokenResponse { token: Some(message(token)), secret: secret.reveal().to_owned() })
    }

    async fn revoke(&self, text: &str, user: &str) -> Result<v1::RevokeTokenResponse, Error> {
        let revoked = tokens::revoke(self.store.as_ref(), text, user).await?;
        self.refresh().await?;
        Ok(v1::RevokeTokenResponse { token: Some(message(revoked)) })
    }

    /// Applies a change before it is answered.
    async fn refresh(&self) -> Result<(), Error> {
        self.keyring.stored(self.store.tokens().await?, unix_ms());
        Ok(())
    }
}

#[tonic::async_trait]
impl AccessService for Access {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let wanted = wanted(named(request, |request| &mut request.user)).map_err(status)?;
        self.create(wanted).await.map(Response::new).map_err(status)
    }

    async fn list_tokens(
        &self,
        _request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let tokens = self.store.tokens().await.map_err(Error::from).map_err(status)?;
        Ok(Response::new(v1::ListTokensResponse { tokens: tokens.into_iter().map(message).collect() }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let request = named(request, |request| &mut request.user);
        let checked = convert::name("token", request.token, MAX_NAME_BYTES)
            .and_then(|token| Ok((token, convert::name("user", request.user, MAX_NAME_BYTES)?)));
        let (token, user) = checked.map_err(Error::from).map_err(status)?;
        self.revoke(&token, &user).await.map(Response::new).map_err(status)
    }
}
