-- What customers are told. queue_notifications() reads the outages and fills the outbox: one row of
-- oms_customer_notifications a message, and beside it which outages that message tells the customer of. Senders
-- claim what is due, for a limited time, send it and settle it. That nobody is told twice hangs on one key:
-- notification (outage, customer, kind).
--
-- Locks, so that nobody waits in a circle: who fills takes the outages FOR KEY SHARE and skips what is being
-- rewritten; who withdraws an outage takes it and its successor FOR UPDATE first; who claims, settles or withdraws
-- takes the rows of notification_delivery before those of the messages.

CREATE TABLE oms_topology.notification_setting (
    is_only_row      boolean PRIMARY KEY DEFAULT true,
    max_age          interval NOT NULL DEFAULT '24 hours',
    recheck_after    interval NOT NULL DEFAULT '1 minute',
    default_channel  text NOT NULL DEFAULT 'sms',
    default_language text NOT NULL DEFAULT 'en',
    CONSTRAINT notification_setting_is_only_row_check CHECK (is_only_row)
);
INSERT INTO oms_topology.notification_setting DEFAULT VALUES;
COMMENT ON TABLE oms_topology.notification_setting IS
    'max_age: an outage that began longer ago is not announced, nor one that ended longer ago told to be over. recheck_after: how long an outage that did not change is left alone.';

CREATE TABLE oms_topology.notification_channel (
    channel    text PRIMARY KEY,
    per_minute double precision NOT NULL DEFAULT 6000,
    burst      double precision NOT NULL DEFAULT 1000,
    allowance  double precision NOT NULL DEFAULT 1000,
    filled_at  timestamptz NOT NULL DEFAULT '-infinity',
    CONSTRAINT notification_channel_channel_check CHECK (channel IN ('sms', 'email', 'phone', 'app')),
    CONSTRAINT notification_channel_per_minute_check CHECK (per_minute >= 0),
    CONSTRAINT notification_channel_burst_check CHECK (burst >= 1)
);
INSERT INTO oms_topology.notification_channel (channel) VALUES ('sms'), ('email'), ('phone'), ('app');
COMMENT ON TABLE oms_topology.notification_channel IS
    'How many messages all senders together may send: per_minute in the long run, burst at once. allowance is what is left of it at filled_at.';

CREATE TABLE oms_topology.customer_contact (
    customer_id uuid PRIMARY KEY,
    channel     text NOT NULL,
    address     text,
    language    text,
    CONSTRAINT customer_contact_customer_id_fkey FOREIGN KEY (customer_id)
        REFERENCES public.oms_customers (id) ON DELETE CASCADE,
    CONSTRAINT customer_contact_channel_check CHECK (channel IN ('sms', 'email', 'phone', 'app', 'none')),
    CONSTRAINT customer_contact_address_check CHECK (channel <> 'email' OR address IS NOT NULL)
);
COMMENT ON TABLE oms_topology.customer_contact IS
    'How a customer is reached where it is not by the default channel and oms_customers.phone; none wants no messages.';

CREATE TABLE oms_topology.notification (
    outage_event_id uuid        NOT NULL,
    customer_id     uuid        NOT NULL,
    kind            text        NOT NULL,
    message_id      uuid        NOT NULL,
    device_no       integer     NOT NULL,
    queued_at       timestamptz NOT NULL,
    is_inherited    boolean     NOT NULL DEFAULT false,
    CONSTRAINT notification_pkey PRIMARY KEY (outage_event_id, customer_id, kind),
    CONSTRAINT notification_kind_check CHECK (kind IN ('outage_detected', 'crew_dispatched', 'restored'))
);
CREATE INDEX notification_customer_idx ON oms_topology.notification (customer_id);
CREATE INDEX notification_message_idx ON oms_topology.notification (message_id);
-- No foreign keys: it outlives an outage that is withdrawn without a successor, so that the next one knows.
COMMENT ON TABLE oms_topology.notification IS
    'Who is told what of which outage, by which message: at most once, ever. is_inherited: of an outage that was withdrawn, and then blamed device_no.';

-- Old services write no such rows; the key that they lack is made of ours.
CREATE INDEX oms_customer_notifications_told_idx
    ON public.oms_customer_notifications (outage_event_id, customer_id, notification_type);

CREATE TABLE oms_topology.notification_delivery (
    message_id      uuid PRIMARY KEY,
    channel         text        NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    attempts        integer     NOT NULL DEFAULT 0,
    claimed_by      uuid,
    claimed_until   timestamptz,
    may_have_gone   boolean     NOT NULL DEFAULT false,
    failure         text,
    CONSTRAINT notification_delivery_message_id_fkey FOREIGN KEY (message_id)
        REFERENCES public.oms_customer_notifications (id) ON DELETE CASCADE
) WITH (fillfactor = 70);
CREATE INDEX notification_delivery_due_idx ON oms_topology.notification_delivery (channel, next_attempt_at);
COMMENT ON TABLE oms_topology.notification_delivery IS
    'The messages still to be sent. may_have_gone: an attempt ended without an answer, so the receiver may have it.';

CREATE TABLE oms_topology.notification_watch (
    outage_event_id uuid PRIMARY KEY,
    row_version     text        NOT NULL,
    looked_at       timestamptz NOT NULL,
    is_waiting      boolean     NOT NULL,
    CONSTRAINT notification_watch_outage_event_id_fkey FOREIGN KEY (outage_event_id)
        REFERENCES public.oms_outage_events (id) ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX notification_watch_waiting_idx ON oms_topology.notification_watch (outage_event_id) WHERE is_waiting;
COMMENT ON TABLE oms_topology.notification_watch IS
    'When an outage was last looked at for notifications, and as which version of its row; is_waiting: customers were told of it and not yet that it is over.';

CREATE FUNCTION oms_topology.is_open_status(p_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p_status IN ('detected', 'confirmed', 'in_progress')
$$;

-- The customers that an outage concerns now: of the meters that lost supply with its device, or the one that is out
-- alone, those without newer evidence of power; each with the device, or with what the one meter hangs on.
CREATE FUNCTION oms_topology.customers_concerned(p_outage_ids uuid[])
RETURNS TABLE (outage_event_id uuid, customer_id uuid, device_no integer, started_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT e.id, m.customer_id, COALESCE(o.device_no, m.device_no), e.first_detected_at
    FROM public.oms_outage_events e
    JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
    CROSS JOIN LATERAL (
        SELECT x.meter_no FROM oms_topology.meters_lost(o.device_no, e.first_detected_at) x
        UNION ALL SELECT o.meter_no WHERE o.meter_no IS NOT NULL) l
    JOIN public.oms_meters m ON m.meter_no = l.meter_no
    WHERE e.id = ANY (p_outage_ids) AND m.customer_id IS NOT NULL AND COALESCE(o.device_no, m.device_no) IS NOT NULL
      AND NOT (m.power_status = 'on' AND COALESCE(GREATEST(
              CASE WHEN m.own_power_status = 'on' THEN m.own_power_at END, m.supply_live_at) > e.first_detected_at, false))
$$;

-- Customers told of outages that are over now, and not yet that they are (a message is neither waiting nor failed
-- then; one without a row went with an outage that was withdrawn); less those that another outage, or
-- their own reports, leave without power below the same device.
CREATE FUNCTION oms_topology.customers_restored(p_outage_ids uuid[])
RETURNS TABLE (outage_event_id uuid, customer_id uuid, device_no integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH told AS MATERIALIZED (
        SELECT n.outage_event_id, n.customer_id, d.device_no, d.segment_no, d.position_no, d.last_position_no
        FROM oms_topology.notification n
        JOIN oms_topology.outage_device o ON o.outage_event_id = n.outage_event_id
        JOIN oms_topology.device d ON d.device_no = COALESCE(o.device_no, n.device_no)
        WHERE n.outage_event_id = ANY (p_outage_ids) AND n.kind = 'outage_detected'
          AND NOT EXISTS (SELECT FROM public.oms_customer_notifications c
                          WHERE c.id = n.message_id AND c.status IN ('pending', 'failed'))
          AND NOT EXISTS (SELECT FROM oms_topology.notification r
                          WHERE r.outage_event_id = n.outage_event_id AND r.customer_id = n.customer_id
                            AND r.kind = 'restored')
    ), meter AS (
        SELECT t.outage_event_id, t.customer_id, m.device_no, m.power_status,
               CASE WHEN m.own_power_status = 'on' THEN m.own_power_at END AS own_on_at
        FROM told t
        JOIN public.oms_meters m ON m.customer_id = t.customer_id
        WHERE m.segment_no = t.segment_no AND m.position_no BETWEEN t.position_no AND t.last_position_no
           OR m.has_alternates AND EXISTS (
              SELECT FROM oms_topology.alternate_supply a
              WHERE a.meter_no = m.meter_no AND a.segment_no = t.segment_no
                AND a.position_no BETWEEN t.position_no AND t.last_position_no)
    ), covered AS (
        SELECT p.device_no, max(e.first_detected_at) AS lost_at
        FROM (SELECT DISTINCT meter.device_no FROM meter) p
        CROSS JOIN LATERAL oms_topology.devices_above(p.device_no) a
        JOIN oms_topology.outage_device o ON o.device_no = a.device_no
        JOIN public.oms_outage_events e ON e.id = o.outage_event_id
        WHERE oms_topology.is_open_status(e.status) AND e.event_type <> 'restoration'
        GROUP BY p.device_no
    ), dark AS (
        SELECT m.outage_event_id, m.customer_id
        FROM meter m LEFT JOIN covered c ON c.device_no = m.device_no
        WHERE m.power_status = 'off' OR c.lost_at IS NOT NULL AND NOT COALESCE(m.own_on_at > c.lost_at, false)
    )
    SELECT t.outage_event_id, t.customer_id, t.device_no FROM told t
    WHERE NOT EXISTS (SELECT FROM dark k
                      WHERE k.outage_event_id = t.outage_event_id AND k.customer_id = t.customer_id)
$$;

-- Puts messages of one kind into the outbox: one a customer, for all the outages given. With a window (in a storm)
-- a customer whose newest message is of this kind and within it gets none; that message stands for these outages too.
CREATE FUNCTION oms_topology.put_notifications(
    p_kind text, p_outage_ids uuid[], p_customer_ids uuid[], p_device_nos integer[], p_at timestamptz, p_window interval
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    setting oms_topology.notification_setting;
    queued  integer;
BEGIN
    SELECT * INTO STRICT setting FROM oms_topology.notification_setting;
    WITH given AS MATERIALIZED (
        SELECT g.outage_event_id, g.customer_id, g.device_no
        FROM unnest(p_outage_ids, p_customer_ids, p_device_nos) AS g (outage_event_id, customer_id, device_no)
        LEFT JOIN oms_topology.customer_contact k ON k.customer_id = g.customer_id
        WHERE k.channel IS DISTINCT FROM 'none'
          AND NOT EXISTS (SELECT FROM public.oms_customer_notifications c  -- what an old service told
                          WHERE c.outage_event_id = g.outage_event_id AND c.customer_id = g.customer_id
                            AND c.notification_type = p_kind AND c.status <> 'failed')
    ), newest AS (
        SELECT DISTINCT ON (n.customer_id) n.customer_id, n.kind, n.message_id
        FROM (SELECT DISTINCT customer_id FROM given) g
        JOIN oms_topology.notification n ON n.customer_id = g.customer_id
        WHERE n.queued_at > p_at - p_window
        ORDER BY n.customer_id, n.queued_at DESC, n.kind = 'restored' DESC, n.kind = 'crew_dispatched' DESC
    ), message AS MATERIALIZED (
        SELECT g.customer_id, COALESCE(c.id, gen_random_uuid()) AS id, c.id IS NULL AS is_new
        FROM (SELECT DISTINCT customer_id FROM given) g
        LEFT JOIN newest s ON s.customer_id = g.customer_id AND s.kind = p_kind
        LEFT JOIN public.oms_customer_notifications c ON c.id = s.message_id AND c.status <> 'failed'
    ), noted AS (
        INSERT INTO oms_topology.notification (outage_event_id, customer_id, kind, message_id, device_no, queued_at)
        SELECT g.outage_event_id, g.customer_id, p_kind, m.id, g.device_no, p_at
        FROM given g JOIN message m ON m.customer_id = g.customer_id
        ON CONFLICT ON CONSTRAINT notification_pkey DO NOTHING
        RETURNING outage_event_id, customer_id, message_id
    ), put AS (
        INSERT INTO public.oms_customer_notifications
            (id, outage_event_id, customer_id, notification_type, channel, status, created_at)
        SELECT DISTINCT ON (n.message_id) n.message_id, n.outage_event_id, n.customer_id, p_kind,
               COALESCE(k.channel, setting.default_channel), 'pending', p_at
        FROM noted n
        JOIN message m ON m.id = n.message_id AND m.is_new
        JOIN public.oms_outage_events e ON e.id = n.outage_event_id
        LEFT JOIN oms_topology.customer_contact k ON k.customer_id = n.customer_id
        ORDER BY n.message_id, e.first_detected_at, e.id
        RETURNING id, channel
    ), handed AS (
        INSERT INTO oms_topology.notification_delivery (message_id, channel, next_attempt_at)
        SELECT id, channel, p_at FROM put RETURNING message_id
    )
    SELECT count(*) INTO queued FROM handed;
    RETURN queued;
END $$;

-- What customers were told of an outage that is no more, they were told of the one that it turned out to be: of the
-- same darkness, by a device above or below, which had begun by then.
CREATE FUNCTION oms_topology.recall_notifications(
    p_outage_ids uuid[], p_customer_ids uuid[], p_device_nos integer[], p_started_at timestamptz[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH recalled AS (
        SELECT DISTINCT g.outage_event_id, g.customer_id, n.outage_event_id AS told_of
        FROM unnest(p_outage_ids, p_customer_ids, p_device_nos, p_started_at)
            AS g (outage_event_id, customer_id, device_no, started_at)
        JOIN oms_topology.notification n ON n.customer_id = g.customer_id AND n.is_inherited
            AND n.kind = 'outage_detected' AND n.outage_event_id <> g.outage_event_id AND n.queued_at >= g.started_at
        JOIN oms_topology.device d ON d.device_no = g.device_no
        JOIN oms_topology.device u ON u.device_no = n.device_no AND u.segment_no = d.segment_no
            AND (d.position_no BETWEEN u.position_no AND u.last_position_no
                 OR u.position_no BETWEEN d.position_no AND d.last_position_no)
    )
    INSERT INTO oms_topology.notification
        (outage_event_id, customer_id, kind, message_id, device_no, queued_at, is_inherited)
    SELECT DISTINCT ON (r.outage_event_id, r.customer_id, n.kind)
           r.outage_event_id, r.customer_id, n.kind, n.message_id, n.device_no, n.queued_at, true
    FROM recalled r
    JOIN oms_topology.notification n ON n.outage_event_id = r.told_of AND n.customer_id = r.customer_id
    ORDER BY r.outage_event_id, r.customer_id, n.kind, n.queued_at
    ON CONFLICT ON CONSTRAINT notification_pkey DO NOTHING
$$;

-- Fills the outbox with what is to be told at an instant, from up to p_most_outages outages that have changed or
-- were not looked at for a while. Any number may run at once, and again: what is told stands in one key.
CREATE FUNCTION oms_topology.queue_notifications(
    p_at timestamptz DEFAULT NULL, p_most_outages integer DEFAULT 500, p_momentary_limit interval DEFAULT NULL,
    OUT outages integer, OUT messages integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment  timestamptz := COALESCE(p_at, clock_timestamp());
    hold    interval := p_momentary_limit;
    setting oms_topology.notification_setting;
    storm   interval;
    due     uuid[];
    given   record;
BEGIN
    -- One at a time: two that look at one customer at once would each write a message.
    PERFORM pg_advisory_xact_lock(hashtext('oms_topology.queue_notifications'), 0);
    SELECT * INTO STRICT setting FROM oms_topology.notification_setting;
    IF hold IS NULL THEN
        SELECT o.momentary_limit INTO STRICT hold FROM oms_topology.outage_setting o;
    END IF;
    SELECT make_interval(mins => max(COALESCE(c.correlation_window_minutes, 60))) INTO storm
    FROM public.oms_storm_mode_config c WHERE c.is_active;
    SELECT array_agg(d.id), count(*) INTO due, outages FROM (
        SELECT e.id
        FROM public.oms_outage_events e
        LEFT JOIN oms_topology.notification_watch w ON w.outage_event_id = e.id
        WHERE (e.status IN ('detected', 'confirmed', 'in_progress') AND e.event_type = 'outage'
               AND e.first_detected_at < moment - hold
               AND (e.first_detected_at > moment - setting.max_age OR w.is_waiting)
               OR e.status IN ('restored', 'cleared') AND w.is_waiting)
          AND (w.outage_event_id IS NULL OR w.row_version <> e.xmin::text
               OR w.looked_at <= moment - setting.recheck_after)
        ORDER BY e.first_detected_at, e.id LIMIT p_most_outages
        FOR KEY SHARE OF e SKIP LOCKED) d;
    messages := 0;
    IF outages = 0 THEN
        RETURN;
    END IF;

    SELECT array_agg(c.outage_event_id) AS outages, array_agg(c.customer_id) AS customers,
           array_agg(c.device_no) AS devices, array_agg(c.started_at) AS starts INTO given
    FROM oms_topology.customers_concerned(ARRAY(
        SELECT e.id FROM public.oms_outage_events e
        WHERE e.id = ANY (due) AND oms_topology.is_open_status(e.status) AND e.event_type = 'outage'
          AND e.first_detected_at > moment - setting.max_age
          AND COALESCE(e.confidence_score, 0)
              >= COALESCE((SELECT (oms_topology.active_rule()).confidence_threshold), 0.7))) c
    WHERE NOT EXISTS (SELECT FROM oms_topology.notification n
                      WHERE n.outage_event_id = c.outage_event_id AND n.customer_id = c.customer_id
                        AND n.kind = 'outage_detected');
    PERFORM oms_topology.recall_notifications(given.outages, given.customers, given.devices, given.starts);
    SELECT array_agg(g.o) AS outages, array_agg(g.c) AS customers, array_agg(g.d) AS devices INTO given
    FROM unnest(given.outages, given.customers, given.devices) AS g (o, c, d)
    WHERE NOT EXISTS (SELECT FROM oms_topology.notification n
                      WHERE n.outage_event_id = g.o AND n.customer_id = g.c AND n.kind = 'outage_detected');
    messages := messages + oms_topology.put_notifications(
        'outage_detected', given.outages, given.customers, given.devices, moment, storm);

    SELECT array_agg(n.outage_event_id) AS outages, array_agg(n.customer_id) AS customers,
           array_agg(COALESCE(o.device_no, n.device_no)) AS devices INTO given
    FROM oms_topology.notification n
    JOIN oms_topology.outage_device o ON o.outage_event_id = n.outage_event_id
    JOIN public.oms_outage_events e ON e.id = n.outage_event_id
    WHERE n.outage_event_id = ANY (due) AND n.kind = 'outage_detected'
      AND oms_topology.is_open_status(e.status) AND e.event_type = 'outage'
      AND EXISTS (SELECT FROM public.oms_crew_assignments a
                  WHERE a.outage_event_id = e.id AND lower(a.status) NOT IN ('completed', 'cancelled', 'declined'))
      AND NOT EXISTS (SELECT FROM public.oms_customer_notifications c
                      WHERE c.id = n.message_id AND c.status IN ('pending', 'failed'))
      AND NOT EXISTS (SELECT FROM oms_topology.notification r
                      WHERE r.outage_event_id = n.outage_event_id AND r.customer_id = n.customer_id
                        AND r.kind IN ('crew_dispatched', 'restored'));
    messages := messages + oms_topology.put_notifications(
        'crew_dispatched', given.outages, given.customers, given.devices, moment, storm);

    SELECT array_agg(r.outage_event_id) AS outages, array_agg(r.customer_id) AS customers,
           array_agg(r.device_no) AS devices INTO given
    FROM oms_topology.customers_restored(ARRAY(
        SELECT e.id FROM public.oms_outage_events e
        WHERE e.id = ANY (due) AND e.status IN ('restored', 'cleared') AND e.event_type <> 'planned_outage'
          AND COALESCE(e.actual_restoration_time, moment) > moment - setting.max_age)) r;
    messages := messages + oms_topology.put_notifications(
        'restored', given.outages, given.customers, given.devices, moment, storm);

    INSERT INTO oms_topology.notification_watch AS w (outage_event_id, row_version, looked_at, is_waiting)
    SELECT e.id, e.xmin::text, moment,
           (oms_topology.is_open_status(e.status) OR COALESCE(e.actual_restoration_time, moment) > moment - setting.max_age)
           AND EXISTS (SELECT FROM oms_topology.notification n
                       WHERE n.outage_event_id = e.id AND n.kind = 'outage_detected'
                         AND NOT EXISTS (SELECT FROM oms_topology.notification r
                                         WHERE r.outage_event_id = e.id AND r.customer_id = n.customer_id
                                           AND r.kind = 'restored'))
    FROM public.oms_outage_events e WHERE e.id = ANY (due)
    ON CONFLICT (outage_event_id) DO UPDATE
    SET row_version = excluded.row_version, looked_at = excluded.looked_at, is_waiting = excluded.is_waiting;
END $$;

-- Takes messages out of the outbox that nobody can have received, with the note of whom they were to tell.
CREATE FUNCTION oms_topology.drop_messages(p_message_ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM oms_topology.notification WHERE message_id = ANY (p_message_ids);
    DELETE FROM public.oms_customer_notifications WHERE id = ANY (p_message_ids)
$$;

-- What an outage that is withdrawn leaves to the one in its place, which may be none: who was told what.
CREATE FUNCTION oms_topology.inherit_notifications(p_outage_id uuid, p_successor_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unsent uuid[];
BEGIN
    PERFORM FROM public.oms_outage_events WHERE id IN (p_outage_id, p_successor_id) ORDER BY id FOR UPDATE;
    IF NOT EXISTS (SELECT FROM oms_topology.notification WHERE outage_event_id = p_outage_id) THEN
        UPDATE public.oms_customer_notifications SET outage_event_id = p_successor_id  -- of old services
        WHERE outage_event_id = p_outage_id AND p_successor_id IS NOT NULL;
        RETURN;
    END IF;
    SELECT COALESCE(array_agg(d.message_id) FILTER (WHERE NOT d.may_have_gone AND d.claimed_by IS NULL), '{}') INTO unsent
    FROM (SELECT d.* FROM oms_topology.notification_delivery d
          WHERE d.message_id IN (
              SELECT n.message_id FROM oms_topology.notification n WHERE n.outage_event_id = p_outage_id
              UNION ALL
              SELECT s.message_id FROM oms_topology.notification n
              JOIN oms_topology.notification s USING (customer_id, kind)
              WHERE n.outage_event_id = p_outage_id AND s.outage_event_id = p_successor_id)
          ORDER BY d.message_id FOR UPDATE) d;
    -- Of two notes of one thing the one that was sent stays; where there is no successor, only what was sent.
    DELETE FROM oms_topology.notification s
    USING oms_topology.notification n
    WHERE n.outage_event_id = p_outage_id AND s.outage_event_id = p_successor_id
      AND s.customer_id = n.customer_id AND s.kind = n.kind
      AND s.message_id = ANY (unsent) AND n.message_id <> ALL (unsent);
    DELETE FROM oms_topology.notification n
    WHERE n.outage_event_id = p_outage_id
      AND (EXISTS (SELECT FROM oms_topology.notification s
                   WHERE s.outage_event_id = p_successor_id AND s.customer_id = n.customer_id AND s.kind = n.kind)
           OR p_successor_id IS NULL AND n.message_id = ANY (unsent));
    PERFORM oms_topology.drop_messages(ARRAY(
        SELECT u.message_id FROM unnest(unsent) AS u (message_id)
        WHERE NOT EXISTS (SELECT FROM oms_topology.notification n WHERE n.message_id = u.message_id)));
    UPDATE oms_topology.notification n
    SET outage_event_id = COALESCE(p_successor_id, p_outage_id), is_inherited = true
    WHERE n.outage_event_id = p_outage_id;
    -- A message that tells of several outages stays with one that stands; the rest goes with its outage.
    UPDATE public.oms_customer_notifications c
    SET outage_event_id = COALESCE(p_successor_id, other.id)
    FROM (SELECT c.id AS message_id,
                 (SELECT e.id FROM oms_topology.notification n
                  JOIN public.oms_outage_events e ON e.id = n.outage_event_id
                  WHERE n.message_id = c.id AND e.id <> p_outage_id ORDER BY e.first_detected_at, e.id LIMIT 1) AS id
          FROM public.oms_customer_notifications c WHERE c.outage_event_id = p_outage_id) other
    WHERE c.id = other.message_id AND COALESCE(p_successor_id, other.id) IS NOT NULL;
    -- Who was told of the withdrawn outage waits for the end of the successor.
    UPDATE oms_topology.notification_watch SET is_waiting = true, looked_at = '-infinity'
    WHERE outage_event_id = p_successor_id;
    IF NOT FOUND AND p_successor_id IS NOT NULL THEN
        INSERT INTO oms_topology.notification_watch VALUES (p_successor_id, '', '-infinity', true);
    END IF;
END $$;

-- Whether a message is still true: an outage is announced while it lasts, and over when none of them lasts.
CREATE FUNCTION oms_topology.is_still_true(p_message_id uuid, p_kind text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (p_kind <> 'restored') = EXISTS (
        SELECT FROM oms_topology.notification n
        JOIN public.oms_outage_events e ON e.id = n.outage_event_id
        WHERE n.message_id = p_message_id AND oms_topology.is_open_status(e.status) AND e.event_type <> 'planned_outage')
$$;

-- How many more messages a channel may send now, at most p_wanted; takes them from its allowance.
CREATE FUNCTION oms_topology.draw_allowance(p_channel text, p_wanted integer, p_at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held  oms_topology.notification_channel;
    drawn integer;
BEGIN
    SELECT * INTO held FROM oms_topology.notification_channel WHERE channel = p_channel FOR UPDATE;
    IF NOT FOUND THEN
        RETURN p_wanted;
    END IF;
    IF isfinite(held.filled_at) THEN
        held.allowance := LEAST(held.burst, held.allowance + held.per_minute / 60
                                * GREATEST(extract(epoch FROM p_at - held.filled_at)::double precision, 0));
    ELSE
        held.allowance := held.burst;
    END IF;
    drawn := LEAST(p_wanted, floor(held.allowance)::integer);
    UPDATE oms_topology.notification_channel
    SET allowance = held.allowance - drawn, filled_at = GREATEST(held.filled_at, p_at) WHERE channel = p_channel;
    RETURN drawn;
END $$;

-- Claims messages that are due on a channel, the longest due first, for a limited time and within the channel's
-- rate. What is no longer true and cannot have been received is dropped instead, and may be queued again.
CREATE FUNCTION oms_topology.claim_notifications(
    p_channel text, p_most integer, p_lease interval, p_claim uuid, p_at timestamptz DEFAULT NULL)
RETURNS TABLE (message_id uuid, customer_id uuid, kind text, content text, language text, attempts integer,
               areas text[], started_at timestamptz, expected_at timestamptz, ended_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := COALESCE(p_at, clock_timestamp());
    chosen uuid[];
    stale  uuid[];
    moot   uuid[];
BEGIN
    SELECT array_agg(c.message_id) FILTER (WHERE c.is_true OR c.may_have_gone AND c.kind = 'outage_detected'),
           array_agg(c.message_id) FILTER (WHERE NOT c.is_true AND NOT c.may_have_gone),
           array_agg(c.message_id) FILTER (WHERE NOT c.is_true AND c.may_have_gone AND c.kind <> 'outage_detected')
    INTO chosen, stale, moot
    FROM (SELECT d.message_id, n.notification_type AS kind, d.may_have_gone OR d.claimed_by IS NOT NULL AS may_have_gone,
                 oms_topology.is_still_true(d.message_id, n.notification_type) AS is_true
          FROM oms_topology.notification_delivery d
          JOIN public.oms_customer_notifications n ON n.id = d.message_id
          WHERE d.channel = p_channel AND d.next_attempt_at <= moment
            AND (d.claimed_until IS NULL OR d.claimed_until <= moment)
          ORDER BY d.next_attempt_at, d.message_id LIMIT p_most FOR UPDATE OF d SKIP LOCKED) c;
    PERFORM oms_topology.drop_messages(stale);
    -- An announcement that may have come is made sure of, so that its end can be told; any other is left at that.
    DELETE FROM oms_topology.notification_delivery d WHERE d.message_id = ANY (moot);
    UPDATE public.oms_customer_notifications c SET status = 'failed' WHERE c.id = ANY (moot);
    IF chosen IS NULL THEN
        RETURN;
    END IF;
    chosen := chosen[1:oms_topology.draw_allowance(p_channel, cardinality(chosen), moment)];
    UPDATE oms_topology.notification_delivery d
    SET may_have_gone = d.may_have_gone OR d.claimed_by IS NOT NULL, attempts = d.attempts + 1,
        claimed_by = p_claim, claimed_until = moment + p_lease
    WHERE d.message_id = ANY (chosen);
    RETURN QUERY
    SELECT d.message_id, c.customer_id, c.notification_type::text, c.message_content,
           COALESCE(k.language, s.default_language), d.attempts, t.areas, t.started_at, t.expected_at, t.ended_at
    FROM oms_topology.notification_delivery d
    JOIN public.oms_customer_notifications c ON c.id = d.message_id
    CROSS JOIN oms_topology.notification_setting s
    LEFT JOIN oms_topology.customer_contact k ON k.customer_id = c.customer_id
    LEFT JOIN LATERAL (
        SELECT array_agg(COALESCE(NULLIF(btrim(v.name), ''), v.code) ORDER BY e.first_detected_at, v.code) AS areas,
               min(e.first_detected_at) AS started_at, max(e.actual_restoration_time) AS ended_at,
               CASE WHEN bool_and(e.estimated_restoration_time > moment) THEN max(e.estimated_restoration_time) END
                   AS expected_at
        FROM oms_topology.notification n
        JOIN public.oms_outage_events e ON e.id = n.outage_event_id
        JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
        JOIN oms_topology.device v ON v.device_no = COALESCE(o.device_no, n.device_no)
        WHERE n.message_id = d.message_id) t ON true
    WHERE d.message_id = ANY (chosen)
    ORDER BY d.next_attempt_at, d.message_id;
END $$;

-- Keeps the words of claimed messages, so that they are the same at every attempt.
CREATE FUNCTION oms_topology.word_notifications(p_claim uuid, p_message_ids uuid[], p_contents text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.oms_customer_notifications c SET message_content = w.content
    FROM unnest(p_message_ids, p_contents) AS w (message_id, content)
    JOIN oms_topology.notification_delivery d ON d.message_id = w.message_id AND d.claimed_by = p_claim
    WHERE c.id = w.message_id AND c.message_content IS NULL
$$;

-- Settles claimed messages that were sent; returns how many the claim still held.
CREATE FUNCTION oms_topology.settle_sent(p_claim uuid, p_message_ids uuid[], p_at timestamptz DEFAULT NULL) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH settled AS (
        DELETE FROM oms_topology.notification_delivery d
        WHERE d.message_id = ANY (p_message_ids) AND d.claimed_by = p_claim RETURNING d.message_id
    ), sent AS (
        UPDATE public.oms_customer_notifications c
        SET status = 'sent', sent_at = COALESCE(p_at, clock_timestamp())
        FROM settled s WHERE c.id = s.message_id AND c.status = 'pending'
    )
    SELECT count(*)::integer FROM settled
$$;

-- Puts claimed messages back for later; p_counts false where the attempt was none.
CREATE FUNCTION oms_topology.postpone_notifications(
    p_claim uuid, p_message_ids uuid[], p_next_attempts_at timestamptz[], p_failures text[], p_may_have_gone boolean[],
    p_counts boolean) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH postponed AS (
        UPDATE oms_topology.notification_delivery d
        SET claimed_by = NULL, claimed_until = NULL, next_attempt_at = p.next_attempt_at,
            failure = COALESCE(p.failure, d.failure), may_have_gone = d.may_have_gone OR p.may_have_gone,
            attempts = d.attempts - CASE WHEN p_counts THEN 0 ELSE 1 END
        FROM unnest(p_message_ids, p_next_attempts_at, p_failures, p_may_have_gone)
            AS p (message_id, next_attempt_at, failure, may_have_gone)
        WHERE d.message_id = p.message_id AND d.claimed_by = p_claim RETURNING d.message_id
    )
    SELECT count(*)::integer FROM postponed
$$;

-- Gives claimed messages up: failed, and a dead letter that names the message and the reason, and nobody.
CREATE FUNCTION oms_topology.bury_notifications(p_claim uuid, p_message_ids uuid[], p_reasons text[]) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH buried AS (
        DELETE FROM oms_topology.notification_delivery d
        USING unnest(p_message_ids, p_reasons) AS b (message_id, reason)
        WHERE d.message_id = b.message_id AND d.claimed_by = p_claim
        RETURNING d.message_id, d.channel, d.attempts, b.reason
    ), failed AS (
        UPDATE public.oms_customer_notifications c SET status = 'failed'
        FROM buried b WHERE c.id = b.message_id AND c.status = 'pending' RETURNING c.id
    )
    SELECT count(oms_topology.keep_dead_letter('notification', b.channel, b.reason, convert_to(jsonb_build_object(
               'message_id', b.message_id, 'channel', b.channel, 'attempts', b.attempts)::text, 'UTF8')))::integer
    FROM buried b
$$;

-- What a gateway reports later: the message has arrived. Told twice it changes nothing; tells whether it is known.
CREATE FUNCTION oms_topology.mark_delivered(p_message_id uuid, p_at timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- It may come before the sender has settled what it sent.
    DELETE FROM oms_topology.notification_delivery WHERE message_id = p_message_id;
    UPDATE public.oms_customer_notifications
    SET status = 'delivered', delivered_at = COALESCE(delivered_at, p_at, clock_timestamp()),
        sent_at = COALESCE(sent_at, p_at, clock_timestamp())
    WHERE id = p_message_id;
    RETURN FOUND;
END $$;
