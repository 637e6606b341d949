//! Checks the responses to the requests of a resumable upload.

use std::rc::Rc;

use super::Resuming;
use super::plan::Plan;
use super::requests::Sent;
use crate::simulation::clients::ClientSocket;
use crate::simulation::clients::responses::Response;

impl Resuming {
    /// Checks a response with status 104.
    pub(super) fn interim(&mut self, socket: &mut ClientSocket<'_>, response: &Response) -> Result<(), String> {
        let mut plan = self.plan.borrow_mut();
        let Sent::Part { creates, .. } = self.sent else { return Err("an unexpected interim response".to_owned()) };
        if response.status != 104 || !plan.understands_104 {
            return Err("an interim response that nobody asked for".to_owned());
        }
        match (response.field("location"), number(response, "upload-offset")?) {
            (Some(location), None) if creates => {
                plan.has_created(location)?;
                self.resource.clone_from(&plan.resource);
                socket.inner.coverage.count("upload", "interim response with the location");
            }
            // Another connection has begun the upload again.
            (None, Some(_)) if plan.resource != self.resource => {}
            (None, Some(offset)) => {
                self.check_offset(&plan, offset)?;
                plan.promises(offset, self.sent_ns);
                socket.inner.coverage.count("upload", "interim response with an offset");
            }
            _ => return Err("an interim response with other fields".to_owned()),
        }
        Ok(())
    }

    fn check_offset(&self, plan: &Plan, offset: usize) -> Result<(), String> {
        // If another connection has begun the upload again, its offset says nothing about this one.
        let promised = self.promised.min(plan.promised);
        if (promised..=plan.sent_max).contains(&offset) {
            Ok(())
        } else {
            Err(format!("the offset is {offset}, and not between {promised} and {}", plan.sent_max))
        }
    }

    /// Checks a response that may report a failure of the disk. If it was full, has no descriptor, or failed before the file
    /// had its name, the upload has not ended.
    fn check_failure(&self, socket: &mut ClientSocket<'_>, plan: &Plan, response: &Response) -> Result<(), String> {
        let may_have_name = plan.is_durable || response.status == 500;
        match (response.status, response.field("upload-complete"), number(response, "upload-offset")?) {
            (403 | 500 | 503 | 507, Some("?0"), Some(offset)) => {
                socket.inner.coverage.count("upload", "complete and not stored");
                self.check_offset(plan, offset)
            }
            (403 | 503 | 507, Some("?1"), _) if !may_have_name => {
                Err("a complete upload is given up because of a failure that may pass".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check(&mut self, socket: &mut ClientSocket<'_>, response: &Response) -> Result<(), String> {
        let sent = self.sent.clone();
        let plan_cell = Rc::clone(&self.plan);
        let plan = &mut *plan_cell.borrow_mut();
        let is_wrong = plan.repr_digest == Some(false);
        socket.inner.coverage.count("upload", &format!("status {}", response.status));
        if plan.is_drop_box && sent == Sent::Get && response.status == 404 {
            // The model of the files says whether the upload is on the disk at the end.
            socket.inner.coverage.count("upload", "stored in a drop box");
            plan.is_done = true;
            return Ok(());
        }
        if plan.disk_may_fail && response.status >= 400 {
            self.check_failure(socket, plan, response)?;
            match response.status {
                404 => plan.forget(),
                400 => plan.is_done = is_wrong && matches!(sent, Sent::Part { complete: true, .. }),
                _ => {}
            }
            self.offset = None;
            return Ok(());
        }
        // A client that sends slowly gives the server's own slowness the rest of its time.
        let may_be_late = response.status == 408 && plan.touched_ns.is_none();
        if may_be_late || matches!(response.status, 408 | 503) && socket.inner.signal_ns.is_some() {
            return Ok(());
        }
        let complete = response.field("upload-complete");
        let offset = number(response, "upload-offset")?;
        (self.offset, self.is_complete) = (None, false);
        let creates = matches!(sent, Sent::Part { creates: true, .. });
        let may_end = sent != Sent::Head && complete == Some("?1");
        if !creates && sent != Sent::Get && plan.resource != self.resource && !may_end {
            // Another connection has begun the upload again.
            return Ok(());
        }
        match (sent, response.status) {
            (Sent::Get, 200) if !plan.is_drop_box => {
                plan.is_done = true;
                let has_other_digest = response.field("repr-digest").is_some_and(|found| found != plan.digest());
                match response.content == plan.content[..] {
                    true if has_other_digest => Err("another digest".to_owned()),
                    true => Ok(()),
                    false => Err("another content".to_owned()),
                }
            }
            (Sent::Head, 204) => {
                if std::mem::take(&mut self.has_expired) && socket.inner.clock_offset_ns.get() == 0 {
                    return Err("an upload that has expired is found".to_owned());
                }
                let offset = offset.ok_or("no offset")?;
                self.check_offset(plan, offset)?;
                if socket.inner.crashed_ns.is_some_and(|crashed_ns| plan.promised_ns < crashed_ns && offset > 0) {
                    socket.inner.coverage.count("upload", "found after a restart");
                }
                self.is_complete = match complete {
                    Some("?0") => false,
                    Some("?1") if plan.may_be_published => true,
                    other => return Err(format!("Upload-Complete is {other:?}")),
                };
                if self.is_complete && offset != plan.content.len() {
                    return Err("a complete upload of another length".to_owned());
                }
                plan.promises_for(offset, self.sent_ns, response)?;
                self.offset = Some(offset);
                Ok(())
            }
            (Sent::Delete, 204) => {
                socket.inner.coverage.count("upload", "cancelled");
                (plan.is_cancelled, plan.cancels) = (true, false);
                Ok(())
            }
            (Sent::Head | Sent::Part { creates: false, .. } | Sent::Replay | Sent::Delete, 404) => {
                if !plan.may_be_gone(socket) && self.promised > 0 {
                    return Err(format!("the offset {} was promised", plan.promised));
                }
                let is_old = socket.now_ns() - plan.promised_ns.min(socket.now_ns()) >= plan.age_ns;
                if plan.promised > 0 && !plan.is_cancelled && is_old {
                    socket.inner.coverage.count("upload", "expired");
                }
                plan.cancels &= !plan.is_cancelled;
                plan.forget();
                Ok(())
            }
            (Sent::Part { creates: false, .. }, 400)
                if plan.may_be_published && is_about_completed(&response.content) =>
            {
                socket.inner.coverage.count("upload", "completed on another connection");
                Ok(())
            }
            (Sent::Part { digest_is_wrong: true, offset: before, .. }, 400) => {
                socket.inner.coverage.count("upload", "Content-Digest differs");
                if complete != Some("?0") || offset != Some(before) {
                    return Err("content whose digest differs is kept".to_owned());
                }
                if let Some(location) = response.field("location") {
                    plan.has_created(location)?;
                }
                plan.promises_for(before, self.sent_ns, response)?;
                Ok(())
            }
            (Sent::Part { complete: true, .. }, 400) if is_wrong => {
                socket.inner.coverage.count("upload", "Repr-Digest differs");
                plan.is_done = true;
                Ok(())
            }
            // Another request of this upload may be on its way on an older connection.
            (Sent::Part { creates: false, .. } | Sent::Replay, 409) if offset.is_some() => {
                socket.inner.coverage.count("upload", "mismatch");
                offset.map_or(Ok(()), |offset| self.check_offset(plan, offset))
            }
            (Sent::Part { .. }, 409) if response.content.starts_with(b"Another request") => {
                socket.inner.coverage.count("upload", "taken over");
                Ok(())
            }
            (Sent::Part { .. }, 409 | 412) if plan.only_creates && plan.may_be_published => {
                socket.inner.coverage.count("upload", "was published before");
                plan.is_done = true;
                Ok(())
            }
            // Without content it requests the final response again, if the upload has ended on another connection.
            (Sent::Part { digest_is_wrong: true, offset, end, complete, .. }, status)
                if status < 400 && (end > offset || !complete) =>
            {
                Err("content with another digest was accepted".to_owned())
            }
            (Sent::Part { creates, end, complete: false, .. }, status) if status == if creates { 201 } else { 204 } => {
                if complete != Some("?0") || offset != Some(end) {
                    return Err(format!("an offset of {offset:?} and not {end}"));
                }
                if creates {
                    let location = response.field("location").ok_or("no location")?;
                    plan.has_created(location)?;
                }
                plan.promises_for(end, self.sent_ns, response)?;
                self.offset = Some(end);
                Ok(())
            }
            (Sent::Part { complete: true, .. } | Sent::Replay, 201 | 204) => {
                if self.sent == Sent::Replay {
                    socket.inner.coverage.count("upload", "replayed");
                }
                if complete != Some("?1") || is_wrong {
                    return Err("the upload is not complete".to_owned());
                }
                let right = plan.digest();
                match response.field("repr-digest") {
                    Some(found) if found != right => return Err("another digest".to_owned()),
                    // It is not known if the server stopped, or the disk failed, between the publication and its record.
                    None if plan.wants_digest && !plan.disk_may_fail && socket.inner.crashed_ns.is_none() => {
                        return Err("no digest".to_owned());
                    }
                    _ => {}
                }
                socket.inner.coverage.count("upload", "completed");
                plan.is_stored = true;
                if let Some(version) = &plan.version {
                    plan.model.borrow_mut().acknowledged(version, socket.now_ns());
                }
                Ok(())
            }
            (_, status) => Err(format!("an unexpected status of {status}")),
        }
    }
}

/// Whether problem details say that the upload is already complete: content is refused then because of its length.
fn is_about_completed(content: &[u8]) -> bool {
    let problems = [&b"#completed-upload"[..], b"#inconsistent-upload-length"];
    problems.iter().any(|problem| content.windows(problem.len()).any(|part| part == *problem))
}

/// The path of a Location field, which may be a URI.
pub(super) fn location_path(location: &str) -> Result<String, String> {
    match location.find("/.spindle/uploads/") {
        Some(at) => Ok(location[at..].to_owned()),
        None => Err(format!("the location is {location:?}")),
    }
}

/// The value of a field with a number.
fn number(response: &Response, field: &str) -> Result<Option<usize>, String> {
    let Some(value) = response.field(field) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| format!("{field} is {value:?}"))
}
