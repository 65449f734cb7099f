-- The deployed database, written from its description: enhancement script (meters).
-- Kept as it is in the field, faults included; the side that figures are compared with.

CREATE TABLE IF NOT EXISTS oms_meters (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    meter_number VARCHAR(64) NOT NULL UNIQUE,
    meter_type VARCHAR(50) DEFAULT 'smart',
    customer_id UUID REFERENCES oms_customers(id) ON DELETE SET NULL,
    substation_id UUID REFERENCES network_substations(id) ON DELETE SET NULL,
    feeder_id UUID REFERENCES network_feeders(id) ON DELETE SET NULL,
    dp_id UUID REFERENCES network_distribution_points(id) ON DELETE SET NULL,
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    building_id VARCHAR(50),
    communication_status VARCHAR(20) DEFAULT 'unknown',
    last_communication TIMESTAMPTZ,
    last_status_change TIMESTAMPTZ,
    power_status VARCHAR(20) DEFAULT 'unknown',
    last_power_change TIMESTAMPTZ,
    asset_mrid VARCHAR(100),
    usage_point_mrid VARCHAR(100),
    onu_id INTEGER,
    onu_serial_no VARCHAR(100),
    status VARCHAR(20) DEFAULT 'active',
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_oms_meters_asset_mrid ON oms_meters (asset_mrid);
CREATE INDEX IF NOT EXISTS idx_oms_meters_comm_status ON oms_meters (communication_status);
CREATE INDEX IF NOT EXISTS idx_oms_meters_customer ON oms_meters (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_dp ON oms_meters (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_feeder ON oms_meters (feeder_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_lat_lng ON oms_meters (location_lat, location_lng);
CREATE INDEX IF NOT EXISTS idx_oms_meters_number ON oms_meters (meter_number);
CREATE INDEX IF NOT EXISTS idx_oms_meters_onu_id ON oms_meters (onu_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_power_status ON oms_meters (power_status);
CREATE INDEX IF NOT EXISTS idx_oms_meters_substation ON oms_meters (substation_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_type ON oms_meters (meter_type);

CREATE TABLE IF NOT EXISTS network_substation_meters (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    substation_id UUID NOT NULL REFERENCES network_substations(id) ON DELETE CASCADE,
    meter_id UUID NOT NULL REFERENCES oms_meters(id) ON DELETE CASCADE,
    feeder_id UUID REFERENCES network_feeders(id) ON DELETE SET NULL,
    priority INTEGER DEFAULT 1,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (substation_id, meter_id)
);

CREATE INDEX IF NOT EXISTS idx_substation_meters_feeder ON network_substation_meters (feeder_id);
CREATE INDEX IF NOT EXISTS idx_substation_meters_meter ON network_substation_meters (meter_id);
CREATE INDEX IF NOT EXISTS idx_substation_meters_priority ON network_substation_meters (priority);
CREATE INDEX IF NOT EXISTS idx_substation_meters_substation ON network_substation_meters (substation_id);

CREATE TABLE IF NOT EXISTS network_feeder_meters (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    feeder_id UUID NOT NULL REFERENCES network_feeders(id) ON DELETE CASCADE,
    meter_id UUID NOT NULL REFERENCES oms_meters(id) ON DELETE CASCADE,
    circuit_path VARCHAR(200),
    priority INTEGER DEFAULT 2,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (feeder_id, meter_id)
);

CREATE INDEX IF NOT EXISTS idx_feeder_meters_feeder ON network_feeder_meters (feeder_id);
CREATE INDEX IF NOT EXISTS idx_feeder_meters_meter ON network_feeder_meters (meter_id);

CREATE TABLE IF NOT EXISTS oms_meter_status_events (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    meter_id UUID NOT NULL REFERENCES oms_meters(id) ON DELETE CASCADE,
    event_type VARCHAR(50) NOT NULL,
    source_type VARCHAR(32) NOT NULL,
    source_event_id VARCHAR(100),
    previous_status VARCHAR(20),
    new_status VARCHAR(20) NOT NULL,
    event_timestamp TIMESTAMPTZ NOT NULL,
    confidence_score NUMERIC(5,2) DEFAULT 1.0,
    metadata JSONB,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_meter_status_events_meter ON oms_meter_status_events (meter_id);
CREATE INDEX IF NOT EXISTS idx_meter_status_events_source ON oms_meter_status_events (source_type);
CREATE INDEX IF NOT EXISTS idx_meter_status_events_timestamp ON oms_meter_status_events (event_timestamp DESC);
CREATE INDEX IF NOT EXISTS idx_meter_status_events_type ON oms_meter_status_events (event_type);

CREATE TABLE IF NOT EXISTS scada_event_affected_meters (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    scada_event_id UUID NOT NULL REFERENCES scada_events(id) ON DELETE CASCADE,
    meter_id UUID NOT NULL REFERENCES oms_meters(id) ON DELETE CASCADE,
    meter_status_before VARCHAR(20),
    meter_status_after VARCHAR(20),
    checked_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (scada_event_id, meter_id)
);

CREATE INDEX IF NOT EXISTS idx_scada_affected_meters_event ON scada_event_affected_meters (scada_event_id);
CREATE INDEX IF NOT EXISTS idx_scada_affected_meters_meter ON scada_event_affected_meters (meter_id);

ALTER TABLE scada_events ADD COLUMN IF NOT EXISTS affected_meter_count INTEGER DEFAULT 0;
ALTER TABLE scada_events ADD COLUMN IF NOT EXISTS meters_checked_at TIMESTAMPTZ;
ALTER TABLE scada_events ADD COLUMN IF NOT EXISTS outage_event_id UUID REFERENCES oms_outage_events(id) ON DELETE SET NULL;
ALTER TABLE onu_events ADD COLUMN IF NOT EXISTS meter_id UUID REFERENCES oms_meters(id) ON DELETE SET NULL;
ALTER TABLE meters ADD COLUMN IF NOT EXISTS oms_meter_id UUID REFERENCES oms_meters(id) ON DELETE SET NULL;
ALTER TABLE kaifa_event_assets ADD COLUMN IF NOT EXISTS meter_id UUID REFERENCES oms_meters(id) ON DELETE SET NULL;
ALTER TABLE kaifa_event_usage_points ADD COLUMN IF NOT EXISTS meter_id UUID REFERENCES oms_meters(id) ON DELETE SET NULL;
ALTER TABLE callcenter_customers ADD COLUMN IF NOT EXISTS meter_id UUID REFERENCES oms_meters(id) ON DELETE SET NULL;

CREATE INDEX IF NOT EXISTS idx_scada_events_outage ON scada_events (outage_event_id);
CREATE INDEX IF NOT EXISTS idx_onu_events_meter ON onu_events (meter_id);
CREATE INDEX IF NOT EXISTS idx_meters_oms_meter ON meters (oms_meter_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_assets_meter ON kaifa_event_assets (meter_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_usage_points_meter ON kaifa_event_usage_points (meter_id);
CREATE INDEX IF NOT EXISTS idx_callcenter_customers_meter ON callcenter_customers (meter_id);

DROP TRIGGER IF EXISTS oms_meters_updated_at ON oms_meters;
CREATE TRIGGER oms_meters_updated_at BEFORE UPDATE ON oms_meters FOR EACH ROW EXECUTE FUNCTION oms_update_updated_at();

CREATE OR REPLACE FUNCTION get_meters_by_substation(p_substation_id VARCHAR)
RETURNS TABLE (
    meter_id UUID, meter_number VARCHAR, communication_status VARCHAR, power_status VARCHAR,
    last_communication TIMESTAMPTZ, customer_id UUID, location_lat NUMERIC, location_lng NUMERIC) AS $$
BEGIN
    RETURN QUERY
    SELECT m.id, m.meter_number, m.communication_status, m.power_status, m.last_communication, m.customer_id,
           m.location_lat, m.location_lng
    FROM oms_meters m
    JOIN network_substation_meters nsm ON m.id = nsm.meter_id
    JOIN network_substations ns ON nsm.substation_id = ns.id
    WHERE ns.substation_id = p_substation_id AND m.status = 'active';
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION get_meters_by_feeder(p_feeder_id VARCHAR)
RETURNS TABLE (
    meter_id UUID, meter_number VARCHAR, communication_status VARCHAR, power_status VARCHAR,
    last_communication TIMESTAMPTZ, customer_id UUID, location_lat NUMERIC, location_lng NUMERIC) AS $$
BEGIN
    RETURN QUERY
    SELECT m.id, m.meter_number, m.communication_status, m.power_status, m.last_communication, m.customer_id,
           m.location_lat, m.location_lng
    FROM oms_meters m
    JOIN network_feeder_meters nfm ON m.id = nfm.meter_id
    JOIN network_feeders nf ON nfm.feeder_id = nf.id
    WHERE nf.feeder_id = p_feeder_id AND m.status = 'active';
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION update_meter_status(
    p_meter_number VARCHAR, p_new_status VARCHAR, p_event_type VARCHAR, p_source_type VARCHAR,
    p_source_event_id VARCHAR DEFAULT NULL, p_event_timestamp TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    p_metadata JSONB DEFAULT NULL)
RETURNS UUID AS $$
DECLARE
    v_meter_id UUID;
    v_previous_status VARCHAR;
    v_event_id UUID;
BEGIN
    SELECT id, power_status INTO v_meter_id, v_previous_status
    FROM oms_meters WHERE meter_number = p_meter_number;
    IF v_meter_id IS NULL THEN
        RAISE EXCEPTION 'Meter not found: %', p_meter_number;
    END IF;

    UPDATE oms_meters
    SET power_status = p_new_status, last_power_change = p_event_timestamp, last_status_change = p_event_timestamp
    WHERE id = v_meter_id;

    INSERT INTO oms_meter_status_events (
        meter_id, event_type, source_type, source_event_id, previous_status, new_status, event_timestamp, metadata)
    VALUES (
        v_meter_id, p_event_type, p_source_type, p_source_event_id, v_previous_status, p_new_status,
        p_event_timestamp, p_metadata)
    RETURNING id INTO v_event_id;
    RETURN v_event_id;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION process_scada_event_meters(
    p_scada_event_id UUID, p_substation_id VARCHAR, p_feeder_id VARCHAR DEFAULT NULL,
    p_event_timestamp TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP)
RETURNS TABLE (
    total_meters INTEGER, offline_meters INTEGER, online_meters INTEGER, unknown_meters INTEGER,
    outage_event_id UUID) AS $$
DECLARE
    v_substation_uuid UUID;
    v_feeder_uuid UUID;
    v_event RECORD;
    v_meter RECORD;
    v_total INTEGER := 0;
    v_offline INTEGER := 0;
    v_online INTEGER := 0;
    v_unknown INTEGER := 0;
    v_outage_id UUID;
BEGIN
    SELECT ns.id INTO v_substation_uuid FROM network_substations ns WHERE ns.substation_id = p_substation_id;
    IF p_feeder_id IS NOT NULL THEN
        SELECT nf.id INTO v_feeder_uuid FROM network_feeders nf WHERE nf.feeder_id = p_feeder_id;
    END IF;

    SELECT se.latitude, se.longitude, se.severity, se.reason INTO v_event
    FROM scada_events se WHERE se.id = p_scada_event_id;

    FOR v_meter IN
        SELECT DISTINCT m.id, m.meter_number, m.power_status, m.communication_status, m.last_communication,
               m.location_lat, m.location_lng
        FROM oms_meters m
        LEFT JOIN network_substation_meters nsm ON m.id = nsm.meter_id
        LEFT JOIN network_feeder_meters nfm ON m.id = nfm.meter_id
        WHERE m.status = 'active'
          AND (nsm.substation_id = v_substation_uuid
               OR (v_feeder_uuid IS NOT NULL AND nfm.feeder_id = v_feeder_uuid))
    LOOP
        v_total := v_total + 1;
        IF v_meter.power_status = 'off' OR v_meter.communication_status = 'offline'
            OR v_meter.last_communication IS NULL
            OR v_meter.last_communication < p_event_timestamp - INTERVAL '15 minutes'
        THEN
            v_offline := v_offline + 1;
            INSERT INTO scada_event_affected_meters (
                scada_event_id, meter_id, meter_status_before, meter_status_after)
            VALUES (p_scada_event_id, v_meter.id, v_meter.power_status, 'off')
            ON CONFLICT (scada_event_id, meter_id) DO NOTHING;

            UPDATE oms_meters
            SET power_status = 'off', communication_status = 'offline', last_status_change = p_event_timestamp
            WHERE id = v_meter.id;

            INSERT INTO oms_meter_status_events (
                meter_id, event_type, source_type, source_event_id, previous_status, new_status,
                event_timestamp, confidence_score)
            VALUES (
                v_meter.id, 'power_off', 'scada', p_scada_event_id::text, v_meter.power_status, 'off',
                p_event_timestamp, 0.9);
        ELSIF v_meter.power_status = 'on' AND v_meter.communication_status = 'online' THEN
            v_online := v_online + 1;
        ELSE
            v_unknown := v_unknown + 1;
        END IF;
    END LOOP;

    IF v_offline > 0 THEN
        INSERT INTO oms_outage_events (
            event_id, event_type, status, severity, confidence_score, affected_customers_count,
            first_detected_at, substation_id, feeder_id, event_latitude, event_longitude, root_cause, description)
        VALUES (
            'OMS_SCADA_' || EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)::bigint || '_'
                || substr(md5(random()::text), 1, 8),
            'outage', 'detected', COALESCE(v_event.severity, 'high'), 0.9, v_offline, p_event_timestamp,
            v_substation_uuid, v_feeder_uuid, v_event.latitude, v_event.longitude,
            'SCADA Event: ' || p_substation_id || ' / ' || COALESCE(p_feeder_id, 'N/A'),
            v_offline || ' meters offline. ' || COALESCE(v_event.reason, 'No reason provided.'))
        RETURNING id INTO v_outage_id;

        INSERT INTO oms_event_sources (
            outage_event_id, source_type, source_event_id, source_table, correlation_weight, detected_at)
        VALUES (v_outage_id, 'scada', p_scada_event_id::text, 'scada_events', 1.0, p_event_timestamp);

        INSERT INTO oms_event_timeline (outage_event_id, event_type, status, description, source, timestamp)
        VALUES (v_outage_id, 'detected', 'detected', 'Outage detected by SCADA', 'scada', p_event_timestamp);

        UPDATE scada_events
        SET affected_meter_count = v_offline, meters_checked_at = CURRENT_TIMESTAMP, outage_event_id = v_outage_id
        WHERE id = p_scada_event_id;
    END IF;

    RETURN QUERY SELECT v_total, v_offline, v_online, v_unknown, v_outage_id;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION insert_scada_event_with_meter_check(json_data JSONB) RETURNS JSONB AS $$
DECLARE
    v_event_id UUID;
    v_result RECORD;
BEGIN
    v_event_id := insert_scada_event_from_json(json_data);
    IF json_data->>'alarmType' IN ('fault', 'breaker_trip', 'power_failure', 'outage') THEN
        SELECT * INTO v_result
        FROM process_scada_event_meters(
            v_event_id, json_data->>'substationId', json_data->>'feederId', (json_data->>'timestamp')::timestamptz);
        RETURN jsonb_build_object(
            'scada_event_id', v_event_id, 'meters_checked', true, 'total_meters', v_result.total_meters,
            'offline_meters', v_result.offline_meters, 'online_meters', v_result.online_meters,
            'unknown_meters', v_result.unknown_meters, 'outage_event_id', v_result.outage_event_id);
    END IF;
    RETURN jsonb_build_object(
        'scada_event_id', v_event_id, 'meters_checked', false, 'reason', 'Non-critical alarm type');
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION insert_onu_event_from_json_with_meter_sync(json_data JSONB) RETURNS INTEGER AS $$
DECLARE
    v_event_id INTEGER := insert_onu_event_from_json(json_data);
    v_meter_id UUID;
    v_time TIMESTAMPTZ := (json_data->>'timestamp')::timestamptz;
    v_restored BOOLEAN := json_data->>'type' = 'ONU_PowerRestored';
BEGIN
    IF json_data->>'type' IN ('ONU_LastGaspAlert', 'ONU_PowerRestored') THEN
        SELECT id INTO v_meter_id FROM oms_meters WHERE onu_id = (json_data->>'onuId')::integer LIMIT 1;
        IF v_meter_id IS NOT NULL THEN
            UPDATE oms_meters
            SET power_status = CASE WHEN v_restored THEN 'on' ELSE 'off' END,
                communication_status = CASE WHEN v_restored THEN 'online' ELSE 'offline' END,
                last_power_change = v_time, last_status_change = v_time, last_communication = v_time
            WHERE id = v_meter_id;
            UPDATE onu_events SET meter_id = v_meter_id WHERE id = v_event_id;
            INSERT INTO oms_meter_status_events (
                meter_id, event_type, source_type, source_event_id, previous_status, new_status,
                event_timestamp, confidence_score)
            VALUES (
                v_meter_id, CASE WHEN v_restored THEN 'power_on' ELSE 'power_off' END, 'onu',
                json_data->>'eventId', CASE WHEN v_restored THEN 'off' ELSE 'on' END,
                CASE WHEN v_restored THEN 'on' ELSE 'off' END, v_time, 0.85);
        END IF;
    END IF;
    RETURN v_event_id;
EXCEPTION WHEN undefined_table THEN
    RETURN v_event_id;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION insert_kaifa_event_from_json_with_meter_sync(json_data JSONB) RETURNS UUID AS $$
DECLARE
    v_event_id UUID := insert_kaifa_event_from_json(json_data);
    v_asset VARCHAR := json_data->'payload'->'assets'->>'ns2:mRID';
    v_usage_point VARCHAR := json_data->'payload'->'usage_point'->>'ns2:mRID';
    v_critical BOOLEAN := json_data->'payload'->>'severity' IN ('critical', 'high');
    v_time TIMESTAMPTZ := (json_data->>'timestamp')::timestamptz;
    v_meter_id UUID;
BEGIN
    SELECT id INTO v_meter_id FROM oms_meters
    WHERE asset_mrid = v_asset OR usage_point_mrid = v_usage_point OR meter_number = v_asset
    LIMIT 1;
    IF v_meter_id IS NOT NULL THEN
        UPDATE oms_meters
        SET last_communication = v_time, last_status_change = v_time, communication_status = 'online',
            power_status = CASE WHEN v_critical THEN 'off' ELSE power_status END,
            last_power_change = CASE WHEN v_critical THEN v_time ELSE last_power_change END
        WHERE id = v_meter_id;
        UPDATE kaifa_event_assets a SET meter_id = v_meter_id
        FROM kaifa_event_payloads p WHERE a.payload_id = p.id AND p.event_id = v_event_id;
        UPDATE kaifa_event_usage_points u SET meter_id = v_meter_id
        FROM kaifa_event_payloads p WHERE u.payload_id = p.id AND p.event_id = v_event_id;
        IF v_critical THEN
            INSERT INTO oms_meter_status_events (
                meter_id, event_type, source_type, source_event_id, previous_status, new_status,
                event_timestamp, confidence_score, metadata)
            VALUES (
                v_meter_id, 'power_off', 'kaifa', v_event_id::text, 'on', 'off', v_time, 0.90,
                jsonb_build_object('severity', json_data->'payload'->>'severity',
                                   'reason', json_data->'payload'->>'reason'));
        END IF;
    END IF;
    RETURN v_event_id;
EXCEPTION WHEN undefined_table THEN
    RETURN v_event_id;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION insert_callcenter_ticket_from_json_with_meter_link(json_data JSONB) RETURNS UUID AS $$
DECLARE
    v_ticket_id UUID := insert_callcenter_ticket_from_json(json_data);
    v_meter_number VARCHAR := json_data->'customer'->>'meterNumber';
    v_meter_id UUID;
BEGIN
    IF COALESCE(v_meter_number, '') <> '' THEN
        SELECT id INTO v_meter_id FROM oms_meters WHERE meter_number = v_meter_number;
        IF v_meter_id IS NOT NULL THEN
            UPDATE callcenter_customers SET meter_id = v_meter_id WHERE ticket_id = v_ticket_id;
            INSERT INTO oms_meter_status_events (
                meter_id, event_type, source_type, source_event_id, previous_status, new_status,
                event_timestamp, confidence_score, metadata)
            VALUES (
                v_meter_id, 'power_off', 'call_center', v_ticket_id::text, 'unknown', 'off',
                (json_data->>'timestamp')::timestamptz, 0.60,
                jsonb_build_object('ticket_id', json_data->>'ticketId',
                                   'customer_phone', json_data->'customer'->>'phone'));
        END IF;
    END IF;
    RETURN v_ticket_id;
EXCEPTION WHEN undefined_table THEN
    RETURN v_ticket_id;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION sync_callcenter_tickets_to_meters()
RETURNS TABLE (tickets_processed INTEGER, meters_linked INTEGER, meters_not_found INTEGER) AS $$
DECLARE
    v_customer RECORD;
    v_meter_id UUID;
    v_processed INTEGER := 0;
    v_linked INTEGER := 0;
    v_missing INTEGER := 0;
BEGIN
    FOR v_customer IN
        SELECT id, meter_number FROM callcenter_customers
        WHERE meter_number IS NOT NULL AND meter_number <> '' AND meter_id IS NULL
    LOOP
        v_processed := v_processed + 1;
        SELECT id INTO v_meter_id FROM oms_meters WHERE meter_number = v_customer.meter_number;
        IF v_meter_id IS NOT NULL THEN
            UPDATE callcenter_customers SET meter_id = v_meter_id WHERE id = v_customer.id;
            v_linked := v_linked + 1;
        ELSE
            v_missing := v_missing + 1;
        END IF;
    END LOOP;
    RETURN QUERY SELECT v_processed, v_linked, v_missing;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE VIEW network_substations_with_meters AS
SELECT s.id, s.substation_id, s.name, s.location_lat, s.location_lng, s.status,
       COUNT(DISTINCT nsm.meter_id) AS total_meters,
       COUNT(DISTINCT CASE WHEN m.power_status = 'on' THEN m.id END) AS online_meters,
       COUNT(DISTINCT CASE WHEN m.power_status = 'off' THEN m.id END) AS offline_meters,
       COUNT(DISTINCT CASE WHEN m.power_status = 'unknown' THEN m.id END) AS unknown_meters,
       COUNT(DISTINCT CASE WHEN m.communication_status = 'offline' THEN m.id END) AS comm_offline_meters
FROM network_substations s
LEFT JOIN network_substation_meters nsm ON s.id = nsm.substation_id
LEFT JOIN oms_meters m ON nsm.meter_id = m.id AND m.status = 'active'
GROUP BY s.id, s.substation_id, s.name, s.location_lat, s.location_lng, s.status;

CREATE OR REPLACE VIEW network_feeders_with_meters AS
SELECT f.id, f.feeder_id, f.name, f.substation_id, s.substation_id AS substation_code, s.name AS substation_name,
       f.location_lat, f.location_lng, f.status,
       COUNT(DISTINCT nfm.meter_id) AS total_meters,
       COUNT(DISTINCT CASE WHEN m.power_status = 'on' THEN m.id END) AS online_meters,
       COUNT(DISTINCT CASE WHEN m.power_status = 'off' THEN m.id END) AS offline_meters,
       COUNT(DISTINCT CASE WHEN m.power_status = 'unknown' THEN m.id END) AS unknown_meters
FROM network_feeders f
LEFT JOIN network_substations s ON f.substation_id = s.id
LEFT JOIN network_feeder_meters nfm ON f.id = nfm.feeder_id
LEFT JOIN oms_meters m ON nfm.meter_id = m.id AND m.status = 'active'
GROUP BY f.id, f.feeder_id, f.name, f.substation_id, s.substation_id, s.name, f.location_lat, f.location_lng,
         f.status;

CREATE OR REPLACE VIEW oms_meters_with_topology AS
SELECT m.id AS meter_id, m.meter_number, m.meter_type, m.communication_status, m.power_status,
       m.last_communication, m.last_power_change, m.location_lat, m.location_lng,
       c.customer_id, c.phone AS customer_phone, c.address AS customer_address,
       s.substation_id, s.name AS substation_name, f.feeder_id, f.name AS feeder_name, d.dp_id, d.name AS dp_name
FROM oms_meters m
LEFT JOIN oms_customers c ON m.customer_id = c.id
LEFT JOIN network_substations s ON m.substation_id = s.id
LEFT JOIN network_feeders f ON m.feeder_id = f.id
LEFT JOIN network_distribution_points d ON m.dp_id = d.id
WHERE m.status = 'active';
