//! What holds for the whole house, whatever is added to it.

use axum::http::Method;

use crate::both;

both! {
    async fn the_probes_answer_anybody(t: T) {
        for probe in ["/healthz", "/readyz", "/metrics"] {
            t.anonymous(Method::GET, probe).await.ok();
        }
    }

    async fn what_is_made_in_sentences_is_there(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").requires_approval().await;
        let us = t.region("US").await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk, &us]).await;
        let version = model.version("2.0").planned("2026-04-30").approved().await;
        assert_eq!(version.number, "2.0");
        assert!(version.request.is_some());
        assert_eq!(t.number("SELECT COUNT(*) FROM version_targets").await, 2);
        anna.get("/api/v1/no-such-address").await.refused(404, "not_found");
        anna.page("/no-such-page").await.expect(404);
    }
}
