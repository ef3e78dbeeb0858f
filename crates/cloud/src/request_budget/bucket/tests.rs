use super::*;
use std::collections::BTreeMap;

/// The length of a test with clients, in seconds of cloud time.
const SECONDS: f64 = 1_200.0;
/// The interval at which a waiting client looks again, as the answer to another one wakes it.
const LOOK_SOON: Duration = Duration::from_millis(1);
const READS: Rate = Rate { size: 250.0, per_second: 25.0 };

fn sent(bucket: &mut Bucket, now: Instant) -> Duration {
    bucket.take(now).err().unwrap_or_default()
}

#[test]
fn nothing_waits_before_the_service_has_told_what_is_left() {
    let (mut bucket, now) = (Bucket::told(READS, 1.0), Instant::now());
    assert_eq!((0..60).filter(|_| bucket.take(now).is_ok()).count(), 8, "and then only a few are sent");
    bucket.ended();
    assert_eq!([bucket.take(now).is_ok(), bucket.take(now).is_ok()], [true, false]);
    bucket.ended();
    bucket.never_tells();
    assert!((0..50).all(|_| bucket.take(now).is_ok()), "a service that tells nothing");
    bucket.tell(100.0, now, now);
    assert_eq!(bucket.tokens(now).unwrap().0, 43.0, "requests without an answer count");
}

#[test]
fn requests_follow_the_refill_when_only_the_reserve_is_left() {
    let (mut bucket, now) = (Bucket::told(READS, 1.0), Instant::now());
    bucket.tell(249.0, now, now);
    bucket.tell(50.0, now, now);
    assert_eq!(sent(&mut bucket, now), Duration::from_millis(400), "a tenth of it before a measurement");
    bucket.is_measured = true;
    assert_eq!(sent(&mut bucket, now), Duration::from_millis(40), "25 a second");
    assert_eq!(sent(&mut bucket, now + Duration::from_millis(40)), Duration::ZERO);
    assert_eq!(sent(&mut bucket, now + Duration::from_millis(40)), Duration::from_millis(40));
    assert_eq!(sent(&mut bucket, now + Duration::from_secs(60)), Duration::ZERO);
}

#[test]
fn a_refusal_stops_all_requests_until_its_time_is_over() {
    let (mut bucket, now) = (Bucket::told(READS, 1.0), Instant::now());
    bucket.tell(249.0, now, now);
    bucket.is_measured = true;
    bucket.refuse(Duration::from_secs(7), now);
    bucket.refuse(Duration::from_secs(6), now);
    bucket.tell(60.0, now - Duration::from_millis(50), now);
    assert_eq!(sent(&mut bucket, now), Duration::from_secs(7));
    let open = now + Duration::from_secs(7);
    assert_eq!(sent(&mut bucket, open), Duration::ZERO);
    assert_eq!(sent(&mut bucket, open), Duration::from_millis(80), "not all at once, and at half the rate");
}

#[test]
fn a_counted_bucket_needs_no_answers() {
    let (rate, now) = (Rate { size: 200.0, per_second: 2.0 }, Instant::now());
    let mut bucket = Bucket::counted(rate, 60.0, now);
    assert_eq!((0..200).filter(|_| bucket.take(now).is_ok()).count(), 160);
    assert_eq!(sent(&mut bucket, now), Duration::from_secs_f64(0.5 / 60.0));
}

/// A service with a bucket that the client does not know.
struct Service {
    rate: Rate,
    left: f64,
    at: Instant,
    admitted: u32,
    refused: u32,
}

impl Service {
    /// Counts a request; returns what is left, or `None` for a refusal.
    fn count(&mut self, now: Instant, time_scale: f64) -> Option<f64> {
        let refilled = (now - self.at).as_secs_f64() * time_scale * self.rate.per_second;
        (self.left, self.at) = ((self.left + refilled).min(self.rate.size), now);
        if self.left < 1.0 {
            self.refused += 1;
            return None;
        }
        (self.left, self.admitted) = (self.left - 1.0, self.admitted + 1);
        Some(self.left.floor())
    }
}

/// The next step of one of the clients.
enum Event {
    Send,
    Arrive(Instant),
    Answer(Instant, Option<f64>),
}

/// Lets clients send requests for some seconds of cloud time. Requests and answers overtake each other, and only a
/// share of the answers tells what is left: a 404 does not.
fn requests_in(seconds: f64, rate: Rate, (clients, time_scale): (u32, f64), told: f64, seed: u64) -> Service {
    let (mut bucket, began) = (Bucket::told(READS, time_scale), Instant::now());
    let end = began + Duration::from_secs_f64(seconds / time_scale);
    let mut service = Service { rate, left: rate.size, at: began, admitted: 0, refused: 0 };
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tells = fastrand::Rng::with_seed(seed + 1);
    let mut latency = move || Duration::from_micros(random.u64(1_000..60_000));
    let mut order = 0;
    let mut events = BTreeMap::new();
    let mut add = |events: &mut BTreeMap<_, _>, at: Instant, event| {
        order += 1;
        events.insert((at, order), event);
    };
    for _ in 0..clients {
        add(&mut events, began, Event::Send);
    }
    while let Some(((now, _), event)) = events.pop_first().filter(|((at, _), _)| *at < end) {
        match event {
            Event::Send => match bucket.take(now) {
                Ok(()) => add(&mut events, now + latency(), Event::Arrive(now)),
                Err(wait) => add(&mut events, now + wait.clamp(LOOK_SOON, LOOK_AGAIN), Event::Send),
            },
            Event::Arrive(sent) => {
                let left = service.count(now, time_scale);
                add(&mut events, now + latency(), Event::Answer(sent, left));
            }
            Event::Answer(sent, left) => {
                bucket.ended();
                match left {
                    Some(left) if tells.f64() < told => bucket.tell(left, sent, now),
                    Some(_) => bucket.tell_nothing(),
                    None => bucket.refuse(Duration::from_secs_f64(5.0 / time_scale), now),
                }
                add(&mut events, now, Event::Send);
            }
        }
    }
    service
}

#[test]
fn an_unknown_bucket_is_used_up_to_its_rate_without_a_refusal() {
    let buckets = [(250.0, 25.0), (50.0, 1.0), (50.0, 5.0), (40.0, 0.4), (1_000.0, 100.0)];
    let clients = [(1, 1.0), (20, 1.0), (20, 60.0)];
    for ((size, per_second), (clients, time_scale)) in
        buckets.iter().flat_map(|bucket| clients.iter().map(|clients| (*bucket, *clients)))
    {
        for told in [1.0, 0.5] {
            let rate = Rate { size, per_second };
            let (mut admitted, mut refused) = (0.0, 0);
            for seed in 0..3 {
                let service = requests_in(SECONDS, rate, (clients, time_scale), told, seed);
                admitted += f64::from(service.admitted) / 3.0;
                refused += service.refused;
            }
            let what = format!(
                "{size} and {per_second} a second, {clients} clients at speed {time_scale}, {told} of the answers tell"
            );
            // The clients themselves send one request in 61 ms on average.
            let fastest = SECONDS / time_scale / 0.061 * f64::from(clients);
            let most = (size + SECONDS * READS.per_second.min(per_second)).min(fastest);
            assert_eq!(refused, 0, "{what}");
            assert!(admitted > 0.7 * most, "{what}: {admitted} of {most}");
        }
    }
}
