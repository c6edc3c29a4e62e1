//! What a service allows and reveals: `max_body`, `expose`, versions, edits of heads.

use crate::RoutingContext;
use crate::check::preset::Preset;
use crate::check::{edits, mirror, pages, route_terms, size, sticky};
use crate::file::{At, EnvironmentFile, ServiceFile};
use crate::read::SourceFile;
use judgement::time::Millis;
use memory::snapshot::{GrpcStatuses, ServiceTerms};

pub fn check(
    source: &mut SourceFile,
    file: &ServiceFile,
    preset: &Preset,
    context: &RoutingContext<'_>,
) -> ServiceTerms {
    let version = |typed: &Option<At<EnvironmentFile>>| Some(typed.as_ref()?.value.version.as_ref()?.value.0.clone());
    ServiceTerms {
        max_body: size(&file.max_body, preset.max_body),
        origin_request_id: preset.request_id(),
        grpc_failures: file.grpc_failures.as_ref().map_or(GrpcStatuses::SERVERS, |named| {
            named.0.iter().fold(GrpcStatuses::NONE, |all, word| all.with(word.value.0 as u8))
        }),
        expose: file.expose.unwrap_or(false),
        versions: [version(&file.blue), version(&file.green)],
        edits: edits::of_routes(source, file),
        pin: sticky::cookie(source, file),
        tunnels_stay: file
            .tunnels
            .as_ref()
            .and_then(|at| at.value.after_rollback.as_ref())
            .map_or(Some(Millis::ZERO), |at| at.value.0),
        mirror: mirror::check(source, file.mirror.as_ref(), context),
        error_pages: pages::error_pages(source, file),
        maintenance: pages::maintenance(source, file),
        routes: route_terms::of_routes(source, file, context),
    }
}
