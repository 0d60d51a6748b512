//! Every limit, with its shipped default.
//!
//! The names are the keys of `limits` in the file; the ids are those of the security reference in
//! `docs/reference/limits.md`. A limit exists here only if something enforces it.

use std::time::Duration;

use adit_route::CidrSet;

/// The limits of one generation. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// L-01 `requestLine`: length of a request line or `:path`.
    pub request_line: usize,
    /// L-03 `headerBytes`: names, values and 32 per field, of one head.
    pub header_bytes: usize,
    /// L-04 `fieldLine`: one field line.
    pub field_line: usize,
    /// L-05 `headerFields`: fields of one head, cookies excluded.
    pub header_fields: usize,
    /// L-06 `cookieFields`: cookie fields of one head.
    pub cookie_fields: usize,
    /// L-07 `trailerFields`: fields of one trailer section.
    pub trailer_fields: usize,
    /// L-07 `trailerBytes`: size of one trailer section.
    pub trailer_bytes: usize,
    /// L-09 `chunkExtension`: extension of one chunk.
    pub chunk_extension: usize,
    /// L-12 `interimResponses`: interim responses of one request that are forwarded.
    pub interim_responses: usize,
    /// L-14 `requestsPerConnection`: HTTP/1 requests before `Connection: close`.
    pub requests_per_connection: u32,
    /// L-15 `streamsPerConnection`: HTTP/2 streams before a graceful GOAWAY.
    pub streams_per_connection: u32,
    /// L-16 `loopDepth`: passes of one request through ourselves.
    pub loop_depth: usize,
    /// L-20 `concurrentStreams`: HTTP/2 streams open at once on a connection.
    pub concurrent_streams: u32,
    /// L-21 `streamWindow`: HTTP/2 receive window of a stream.
    pub stream_window: u32,
    /// L-22 `connectionWindow`: HTTP/2 receive window of a connection.
    pub connection_window: u32,
    /// L-26 `streamSendBuffer`: HTTP/2 bytes buffered for sending on a stream.
    pub stream_send_buffer: usize,
    /// L-28 `localResets`: HTTP/2 streams that a client may make us reset.
    pub local_resets: usize,
    /// L-29 `pendingResets`: HTTP/2 streams reset by the client before they were accepted.
    pub pending_resets: usize,
    /// L-28 to L-39: what HTTP/2 peers may send beside requests.
    pub http2: Http2Limits,
    /// L-60 `proxyHeaderTimeout`: accept to complete PROXY header.
    pub proxy_header_timeout: Duration,
    /// L-61 `firstByteTimeout`: accept to first byte.
    pub first_byte_timeout: Duration,
    /// L-62 `handshakeTimeout`: accept to finished TLS handshake.
    pub handshake_timeout: Duration,
    /// L-63 `headTimeout`: first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// L-64 `keepAliveTimeout`: idle HTTP/1 connection.
    pub keep_alive_timeout: Duration,
    /// L-65 `idleStreamsTimeout`: HTTP/2 connection without streams.
    pub idle_streams_timeout: Duration,
    /// L-66 `pingInterval`: HTTP/2 keep-alive ping while streams exist.
    pub ping_interval: Duration,
    /// L-66 `pingTimeout`: time to answer it.
    pub ping_timeout: Duration,
    /// L-67 `bodyIdleTimeout`: no progress of a request body.
    pub body_idle_timeout: Duration,
    /// L-67 `bodyRate`: bytes of a request body in a second, at least; 0 demands none.
    pub body_rate: usize,
    /// L-67 `bodyRateWindow`: what the rate is averaged over.
    pub body_rate_window: Duration,
    /// L-67 `bodyRateGrace`: how long nothing is demanded at first.
    pub body_rate_grace: Duration,
    /// L-68 `connectTimeout`: connecting to a backend.
    pub connect_timeout: Duration,
    /// L-69 `backendHandshakeTimeout`: TLS handshake with a backend.
    pub backend_handshake_timeout: Duration,
    /// L-70 `responseTimeout`: request sent to response head.
    pub response_timeout: Duration,
    /// L-71 `idleTimeout`: a response or stream without progress.
    pub idle_timeout: Duration,
    /// L-72 `tunnelIdleTimeout`: an upgraded, raw or passed-through connection without traffic.
    pub tunnel_idle_timeout: Duration,
    /// L-73 `halfCloseTimeout`: a relayed connection with one side closed.
    pub half_close_timeout: Duration,
    /// L-74 `writeTimeout`: a client that does not read.
    pub write_timeout: Duration,
    /// L-75 `lingerTime`: reading on after an error answer.
    pub linger_time: Duration,
    /// L-76 `continueTimeout`: waiting for a backend's 100 before we send our own.
    pub continue_timeout: Duration,
    /// L-77 `drainTimeout`: time for connections to end once we are stopping.
    pub drain_timeout: Duration,
    /// R-21 `shutdownGrace`: not ready but still accepting, before the drain begins.
    pub shutdown_grace: Duration,
    /// L-78 `tcpKeepAlive`: idle time before TCP probes.
    pub tcp_keep_alive: Duration,
    /// L-80 `connections`: client connections at once; 0 derives it from the descriptor limit.
    pub connections: usize,
    /// L-81 `sourceConnections`: connections of one source at once.
    pub source_connections: usize,
    /// L-81 `sourceRate`: new connections of one source in a second.
    pub source_rate: usize,
    /// L-81 `sourceBurst`: new connections of one source at a time.
    pub source_burst: usize,
    /// L-81 `sourceHandshakes`: unfinished TLS handshakes of one source.
    pub source_handshakes: usize,
    /// L-81 `sourceExempt`: clients that are not counted by source.
    pub source_exempt: CidrSet,
    /// L-82 `handshakes`: unfinished TLS handshakes of all clients.
    pub handshakes: usize,
    /// L-83 `handshakeSteps`: steps of handshakes in one turn of a worker's loop.
    pub handshake_steps: usize,
    /// L-85 `requests`: requests in flight.
    pub requests: usize,
    /// L-86 `requestsPerRoute`: requests in flight on one route.
    pub requests_per_route: usize,
    /// L-86 `requestsPerEndpoint`: requests in flight at one endpoint.
    pub requests_per_endpoint: usize,
    /// L-86 `queuedRequests`: requests that wait for a place on a route, or at its endpoints.
    pub queued_requests: usize,
    /// L-86 `queueTime`: how long they wait.
    pub queue_time: Duration,
    /// L-87 `idleUpstreams`: idle connections kept per endpoint.
    pub idle_upstreams: usize,
    /// L-87 `idleUpstreamTimeout`: how long they are kept.
    pub idle_upstream_timeout: Duration,
    /// L-88 `connectionBuffer`: bytes that wait for one client, over all its streams.
    pub connection_buffer: usize,
    /// L-91 `memory`: memory that may be used; 0 is what the cgroup allows.
    pub memory: usize,
    /// L-91 `memorySoft`: percent of it beyond which connections are not kept alive.
    pub memory_soft: usize,
    /// L-91 `memoryHigh`: percent of it beyond which new connections are refused.
    pub memory_high: usize,
    /// L-91 `memoryFull`: percent of it beyond which the largest connections are closed.
    pub memory_full: usize,
    /// L-92 `lagSoft`: lateness of a loop beyond which new connections get fewer streams.
    pub lag_soft: Duration,
    /// L-92 `lagHigh`: lateness of a loop beyond which new connections are refused.
    pub lag_high: Duration,
    /// L-89 `relayBuffer`: copy buffer per direction of a relayed connection.
    pub relay_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        let seconds = Duration::from_secs;
        Self {
            request_line: 8 * KIB,
            header_bytes: 32 * KIB,
            field_line: 16 * KIB,
            header_fields: 128,
            cookie_fields: 256,
            trailer_fields: 32,
            trailer_bytes: 8 * KIB,
            chunk_extension: 256,
            interim_responses: 8,
            requests_per_connection: 10_000,
            streams_per_connection: 10_000,
            loop_depth: 5,
            concurrent_streams: 100,
            stream_window: 64 * KIB as u32,
            connection_window: 1024 * KIB as u32,
            stream_send_buffer: 64 * KIB,
            local_resets: 100,
            pending_resets: 20,
            http2: Http2Limits::default(),
            proxy_header_timeout: seconds(5),
            first_byte_timeout: seconds(5),
            handshake_timeout: seconds(10),
            head_timeout: seconds(10),
            keep_alive_timeout: seconds(60),
            idle_streams_timeout: seconds(300),
            ping_interval: seconds(30),
            ping_timeout: seconds(10),
            body_idle_timeout: seconds(30),
            body_rate: 500,
            body_rate_window: seconds(30),
            body_rate_grace: seconds(10),
            connect_timeout: seconds(5),
            backend_handshake_timeout: seconds(5),
            response_timeout: seconds(60),
            idle_timeout: seconds(300),
            tunnel_idle_timeout: seconds(3600),
            half_close_timeout: seconds(30),
            write_timeout: seconds(30),
            linger_time: seconds(2),
            continue_timeout: seconds(1),
            drain_timeout: seconds(30),
            shutdown_grace: seconds(5),
            tcp_keep_alive: seconds(30),
            connections: 0,
            source_connections: 512,
            source_rate: 100,
            source_burst: 200,
            source_handshakes: 64,
            source_exempt: CidrSet::default(),
            handshakes: 1024,
            handshake_steps: 8,
            requests: 10_000,
            requests_per_route: 4096,
            requests_per_endpoint: 1024,
            queued_requests: 256,
            queue_time: seconds(1),
            idle_upstreams: 128,
            idle_upstream_timeout: seconds(60),
            connection_buffer: 4 * 1024 * KIB,
            memory: 0,
            memory_soft: 80,
            memory_high: 90,
            memory_full: 95,
            lag_soft: Duration::from_millis(50),
            lag_high: Duration::from_millis(250),
            relay_buffer: 32 * KIB,
        }
    }
}

/// What HTTP/2 peers may send beside requests. Where something is rationed by time, one more is
/// allowed after each refill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// L-28 `localResetRefill`: the refill of `localResets`.
    pub local_reset_refill: Duration,
    /// L-29 `resets`: streams that a client resets.
    pub resets: u32,
    /// L-29 `resetRefill`: their refill.
    pub reset_refill: Duration,
    /// L-29 `resetShareFrom`: streams after which no more than half may be reset within a second.
    pub reset_share_from: u32,
    /// L-31 `pings`: PING frames, beside one for each HEADERS or DATA frame that we sent.
    pub pings: u32,
    /// L-31 `pingRefill`: their refill.
    pub ping_refill: Duration,
    /// L-32 `settingsFrames`: SETTINGS frames.
    pub settings_frames: u32,
    /// L-32 `settingsRefill`: their refill.
    pub settings_refill: Duration,
    /// L-33 `otherFrames`: PRIORITY frames, and as many of unknown types.
    pub other_frames: u32,
    /// L-33 `otherFrameRefill`: their refill.
    pub other_frame_refill: Duration,
    /// L-33 `windowUpdates`: WINDOW_UPDATE frames, beside eight for each DATA frame that we sent.
    pub window_updates: u32,
    /// L-33 `windowUpdateRefill`: their refill.
    pub window_update_refill: Duration,
    /// L-34 `emptyData`: DATA frames without content or end, over a connection's life.
    pub empty_data: u32,
    /// L-34 `tinyData`: DATA frames of one to four bytes.
    pub tiny_data: u32,
    /// L-34 `tinyDataRefill`: their refill.
    pub tiny_data_refill: Duration,
    /// L-34 `smallDataOverhead`: what DATA frames of less than 256 bytes lack, of those that wait.
    pub small_data_overhead: usize,
    /// L-35 `streamStallTimeout`: a stream with something to send and no window.
    pub stream_stall_timeout: Duration,
    /// L-35 `connectionStallTimeout`: a connection without window.
    pub connection_stall_timeout: Duration,
    /// L-38 `glitchesBeforeDrain`: breaches before a graceful end.
    pub glitches_before_drain: u32,
    /// L-38 `glitchesBeforeClose`: breaches before an end at once.
    pub glitches_before_close: u32,
    /// L-39 `headerBlockTimeout`: a header block that has begun and not ended.
    pub header_block_timeout: Duration,
}

impl Default for Http2Limits {
    fn default() -> Self {
        let (seconds, millis) = (Duration::from_secs, Duration::from_millis);
        Self {
            local_reset_refill: seconds(10),
            resets: 100,
            reset_refill: millis(50),
            reset_share_from: 500,
            pings: 20,
            ping_refill: millis(500),
            settings_frames: 10,
            settings_refill: seconds(5),
            other_frames: 1000,
            other_frame_refill: millis(5),
            window_updates: 1000,
            window_update_refill: millis(5),
            empty_data: 100,
            tiny_data: 1000,
            tiny_data_refill: millis(5),
            small_data_overhead: 4 * 1024 * 1024,
            stream_stall_timeout: seconds(30),
            connection_stall_timeout: seconds(60),
            glitches_before_drain: 25,
            glitches_before_close: 50,
            header_block_timeout: seconds(10),
        }
    }
}
