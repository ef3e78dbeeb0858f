use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::atomic::{AtomicU32, Ordering};

/// A credential whose tokens are numbered and each valid for an hour. It never returns the same one twice.
#[derive(Debug)]
struct Numbered {
    given: Arc<AtomicU32>,
    tenant: &'static str,
    cached: Mutex<Option<AccessToken>>,
}

#[async_trait]
impl TokenCredential for Numbered {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut cached = self.cached.lock().await;
        if cached.is_none() {
            let number = self.given.fetch_add(1, Ordering::SeqCst);
            let claims = format!(r#"{{"oid":"o{number}","tid":"{}","idtyp":"app"}}"#, self.tenant);
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            let hour = azure_core::time::Duration::hours(1);
            *cached = Some(AccessToken::new(token, OffsetDateTime::now_utc() + hour));
        }
        Ok(cached.clone().expect("filled above"))
    }
}

const TENANT: &str = "11111111-1111-1111-1111-111111111111";

fn working(name: &'static str, given: &Arc<AtomicU32>) -> CredentialSource {
    let given = given.clone();
    CredentialSource::of(name, false, move || {
        Ok(Arc::new(Numbered { given: given.clone(), tenant: TENANT, cached: Mutex::default() }))
    })
}

fn failing(name: &'static str, configured: bool) -> CredentialSource {
    CredentialSource::of(name, configured, || Err(SignInFailed::new("is not set up".to_owned()).into()))
}

fn credential(sources: Vec<CredentialSource>, tenant: Option<&str>) -> Credential {
    Credential::from_sources(sources, &Endpoints::public(), tenant.map(str::to_owned))
}

#[tokio::test]
async fn the_first_working_source_is_used_and_earlier_failures_are_kept() {
    let given = Arc::default();
    let credential = credential(vec![failing("a", false), working("b", &given), failing("c", true)], None);
    let scope = Endpoints::public().arm_scope();
    let identity = credential.identity(&scope).await.expect("b works");
    assert_eq!((identity.via.as_str(), identity.object_id.as_str()), ("b", "o0"));
    assert_eq!(credential.failures().await, [("a".to_owned(), "is not set up".to_owned())]);
}

#[tokio::test]
async fn a_failing_configured_source_ends_the_search() {
    let given: Arc<AtomicU32> = Arc::default();
    let credential = credential(vec![failing("a", true), working("b", &given)], None);
    let error = credential.identity(&Endpoints::public().arm_scope()).await.expect_err("a was meant");
    assert_eq!(error.kind, crate::ApiErrorKind::SignIn);
    assert_eq!(given.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn if_every_source_fails_all_failures_are_reported() {
    let credential = credential(vec![failing("a", false), failing("b", false)], None);
    let error = credential.identity(&Endpoints::public().arm_scope()).await.expect_err("nothing works");
    assert_eq!(error.message, "every sign-in method failed");
    assert_eq!(error.details.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_token_is_cached_until_it_is_refused() {
    let given: Arc<AtomicU32> = Arc::default();
    let credential = credential(vec![working("a", &given)], None);
    let scope = Endpoints::public().arm_scope();
    let first = credential.token(&scope).await.expect("a works");
    credential.token(&scope).await.expect("still held");
    credential.invalidate("somebody else's token").await;
    assert_eq!(given.load(Ordering::SeqCst), 1);
    credential.invalidate(first.token.secret()).await;
    let second = credential.token(&scope).await.expect("a works");
    assert_ne!(first.token.secret(), second.token.secret());
    credential.invalidate(first.token.secret()).await;
    credential.token(&scope).await.expect("still held");
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_of_another_tenant_is_refused() {
    let other = "22222222-2222-2222-2222-222222222222";
    let credential = credential(vec![working("a", &Arc::default())], Some(other));
    let error = credential.identity(&Endpoints::public().arm_scope()).await.expect_err("the tenants differ");
    assert_eq!((error.kind, error.code.as_deref()), (crate::ApiErrorKind::SignIn, Some("TenantMismatch")));
    assert!(error.message.contains(TENANT) && error.message.contains(other), "{}", error.message);
}

#[tokio::test]
async fn no_token_is_requested_for_a_foreign_audience() {
    let given: Arc<AtomicU32> = Arc::default();
    let credential = credential(vec![working("a", &given)], None);
    assert!(credential.token("https://graph.microsoft.com/.default").await.is_err());
    assert_eq!(given.load(Ordering::SeqCst), 0);
}
