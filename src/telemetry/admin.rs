//! The administrator's resources: the metrics, and whether the server lives and takes requests. They are served only by
//! listeners of their own.

use std::borrow::Cow;
use std::rc::Rc;

use super::metrics::{Format, Metrics};
use crate::semantics::Now;
use crate::semantics::accept;
use crate::semantics::allowed_hosts::AllowedHosts;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{Body, Response};
use crate::semantics::statistics::{LoopStatistics, RouteStatistics};
use crate::semantics::status::Status;

const MISDIRECTED: &str = "The metrics are not served under this host name. The server's option --host NAME adds one.";

const METHODS: &[Method] = &[Method::Get, Method::Head, Method::Options];

/// The administrator's resources.
#[derive(Debug)]
pub struct Admin {
    metrics: Rc<Metrics>,
    loop_statistics: Rc<LoopStatistics>,
    hosts: AllowedHosts,
}

impl Admin {
    /// The resources that show `metrics` and the loop's statistics, served under the names `hosts`.
    pub fn new(metrics: Rc<Metrics>, loop_statistics: Rc<LoopStatistics>, hosts: AllowedHosts) -> Admin {
        Admin { metrics, loop_statistics, hosts }
    }

    /// The response to a request. `routes` is what the routes have counted.
    ///
    /// - `/metrics`: the metrics, in OpenMetrics if Accept names that.
    /// - `/healthz`: 200, since a server that responds is alive.
    /// - `/readyz`: 200, or 503 once a shutdown has begun.
    ///
    /// All of it is 421 under a host name that is not allowed.
    pub fn respond<B>(&self, request: &Request<'_>, routes: &RouteStatistics, now: &Now) -> Response<'static, B> {
        if !self.hosts.allow(request) {
            return Response::with_reason(Status::MisdirectedRequest, MISDIRECTED);
        }
        let path = request.target.path().unwrap_or_default();
        if !matches!(path, b"/metrics" | b"/healthz" | b"/readyz") {
            return Response::new(Status::NotFound);
        }
        match request.method {
            Method::Get | Method::Head => {}
            Method::Options => return Response { allow: Some(METHODS), ..Response::new(Status::NoContent) },
            Method::Unknown => return Response::new(Status::NotImplemented),
            _ => return Response { allow: Some(METHODS), ..Response::new(Status::MethodNotAllowed) },
        }
        match path {
            b"/metrics" => {
                let is_open = accept::names(&request.fields, "application/openmetrics-text");
                let format = if is_open { Format::OpenMetrics } else { Format::Prometheus };
                let text = self.metrics.text(format, &self.loop_statistics, routes, now);
                let content = text_response(Status::Ok, text, format.content_type());
                Response { varies_by_media_type: true, ..content }
            }
            b"/readyz" if self.loop_statistics.is_shutting_down.get() => {
                text_response(Status::ServiceUnavailable, "shutting down\n".to_owned(), "text/plain")
            }
            b"/readyz" => text_response(Status::Ok, "ready\n".to_owned(), "text/plain"),
            _ => text_response(Status::Ok, "alive\n".to_owned(), "text/plain"),
        }
    }
}

fn text_response<B>(status: Status, text: String, content_type: &'static str) -> Response<'static, B> {
    Response {
        content_type: Some(Cow::Borrowed(content_type)),
        no_cache: true,
        body: Body::Bytes(Cow::Owned(text.into_bytes())),
        ..Response::new(status)
    }
}
