-- The deployed database, written from its description: KAIFA service.
-- Kept as it is in the field, faults included; the side that figures are compared with.

CREATE TABLE IF NOT EXISTS kaifa_events (
    id UUID NOT NULL DEFAULT uuid_generate_v4(),
    message_type VARCHAR(50) NOT NULL,
    event_timestamp TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (id)
) PARTITION BY HASH (id);
CREATE TABLE IF NOT EXISTS kaifa_events_p0 PARTITION OF kaifa_events FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE IF NOT EXISTS kaifa_events_p1 PARTITION OF kaifa_events FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE IF NOT EXISTS kaifa_events_p2 PARTITION OF kaifa_events FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE IF NOT EXISTS kaifa_events_p3 PARTITION OF kaifa_events FOR VALUES WITH (MODULUS 4, REMAINDER 3);

CREATE INDEX IF NOT EXISTS idx_kaifa_events_ts ON kaifa_events (event_timestamp DESC);
CREATE INDEX IF NOT EXISTS idx_kaifa_events_type ON kaifa_events (message_type);

CREATE TABLE IF NOT EXISTS kaifa_event_headers (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    event_id UUID NOT NULL REFERENCES kaifa_events(id) ON DELETE CASCADE,
    verb VARCHAR(20) NOT NULL,
    noun VARCHAR(50) NOT NULL,
    revision VARCHAR(10),
    header_timestamp TIMESTAMPTZ NOT NULL,
    source VARCHAR(100),
    async_reply_flag BOOLEAN DEFAULT false,
    ack_required BOOLEAN DEFAULT false,
    message_id VARCHAR(100) UNIQUE,
    correlation_id VARCHAR(100),
    comment TEXT
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_headers_event_id ON kaifa_event_headers (event_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_headers_msg_id ON kaifa_event_headers (message_id);

CREATE TABLE IF NOT EXISTS kaifa_event_users (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    header_id UUID NOT NULL REFERENCES kaifa_event_headers(id) ON DELETE CASCADE,
    user_id VARCHAR(100),
    organization VARCHAR(100)
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_users_header_id ON kaifa_event_users (header_id);

CREATE TABLE IF NOT EXISTS kaifa_event_payloads (
    id UUID NOT NULL DEFAULT uuid_generate_v4(),
    event_id UUID NOT NULL REFERENCES kaifa_events(id) ON DELETE CASCADE,
    event_id_value VARCHAR(100),
    created_date_time TIMESTAMPTZ,
    issuer_id VARCHAR(100),
    issuer_tracking_id VARCHAR(100),
    reason VARCHAR(200),
    severity VARCHAR(20),
    user_id VARCHAR(100),
    event_type_ref VARCHAR(50),
    PRIMARY KEY (id)
) PARTITION BY HASH (id);
CREATE TABLE IF NOT EXISTS kaifa_event_payloads_p0 PARTITION OF kaifa_event_payloads FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE IF NOT EXISTS kaifa_event_payloads_p1 PARTITION OF kaifa_event_payloads FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE IF NOT EXISTS kaifa_event_payloads_p2 PARTITION OF kaifa_event_payloads FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE IF NOT EXISTS kaifa_event_payloads_p3 PARTITION OF kaifa_event_payloads FOR VALUES WITH (MODULUS 4, REMAINDER 3);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_payloads_created_dt ON kaifa_event_payloads (created_date_time DESC);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_payloads_event_id ON kaifa_event_payloads (event_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_payloads_event_id_value ON kaifa_event_payloads (event_id_value);

CREATE TABLE IF NOT EXISTS kaifa_event_assets (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    payload_id UUID NOT NULL REFERENCES kaifa_event_payloads(id) ON DELETE CASCADE,
    mrid VARCHAR(100),
    name VARCHAR(200),
    name_type VARCHAR(100),
    name_description TEXT
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_assets_mrid ON kaifa_event_assets (mrid);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_assets_payload_id ON kaifa_event_assets (payload_id);

CREATE TABLE IF NOT EXISTS kaifa_event_details (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    payload_id UUID NOT NULL REFERENCES kaifa_event_payloads(id) ON DELETE CASCADE,
    name VARCHAR(100) NOT NULL,
    value VARCHAR(200) NOT NULL,
    detail_order INTEGER DEFAULT 0
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_details_name ON kaifa_event_details (name);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_details_payload_id ON kaifa_event_details (payload_id);

CREATE TABLE IF NOT EXISTS kaifa_event_names (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    payload_id UUID NOT NULL REFERENCES kaifa_event_payloads(id) ON DELETE CASCADE,
    name VARCHAR(200),
    name_type VARCHAR(100),
    name_description TEXT
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_names_payload_id ON kaifa_event_names (payload_id);

CREATE TABLE IF NOT EXISTS kaifa_event_status (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    payload_id UUID NOT NULL REFERENCES kaifa_event_payloads(id) ON DELETE CASCADE,
    date_time TIMESTAMPTZ,
    reason VARCHAR(200),
    remark TEXT,
    value VARCHAR(50)
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_status_dt ON kaifa_event_status (date_time DESC);
CREATE INDEX IF NOT EXISTS idx_kaifa_event_status_payload_id ON kaifa_event_status (payload_id);

CREATE TABLE IF NOT EXISTS kaifa_event_usage_points (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    payload_id UUID NOT NULL REFERENCES kaifa_event_payloads(id) ON DELETE CASCADE,
    mrid VARCHAR(100),
    name VARCHAR(200),
    name_type VARCHAR(100),
    name_description TEXT
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_usage_points_payload_id ON kaifa_event_usage_points (payload_id);

CREATE TABLE IF NOT EXISTS kaifa_event_metadata (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    event_id UUID NOT NULL REFERENCES kaifa_events(id) ON DELETE CASCADE,
    source VARCHAR(100),
    processed_at TIMESTAMPTZ
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_metadata_event_id ON kaifa_event_metadata (event_id);

CREATE TABLE IF NOT EXISTS kaifa_event_original_messages (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    event_id UUID NOT NULL REFERENCES kaifa_events(id) ON DELETE CASCADE,
    original_timestamp TIMESTAMPTZ,
    source VARCHAR(100),
    topic VARCHAR(100),
    processed_at TIMESTAMPTZ
);

CREATE INDEX IF NOT EXISTS idx_kaifa_event_original_messages_event_id ON kaifa_event_original_messages (event_id);

CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER update_kaifa_events_updated_at BEFORE UPDATE ON kaifa_events FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE OR REPLACE FUNCTION insert_kaifa_event_from_json(json_data JSONB) RETURNS UUID AS $$
DECLARE
    v_event_id UUID := uuid_generate_v4();
    v_header_id UUID;
    v_payload_id UUID;
    v_header JSONB := json_data->'header';
    v_payload JSONB := json_data->'payload';
    v_detail JSONB;
BEGIN
    INSERT INTO kaifa_events (id, message_type, event_timestamp)
    VALUES (v_event_id, json_data->>'message_type', (json_data->>'timestamp')::timestamptz);

    INSERT INTO kaifa_event_headers (
        event_id, verb, noun, revision, header_timestamp, source, async_reply_flag, ack_required, message_id,
        correlation_id, comment)
    VALUES (
        v_event_id, v_header->>'verb', v_header->>'noun', v_header->>'revision',
        (v_header->>'timestamp')::timestamptz, v_header->>'source', (v_header->>'async_reply_flag')::boolean,
        (v_header->>'ack_required')::boolean, v_header->>'message_id', v_header->>'correlation_id',
        v_header->>'comment')
    RETURNING id INTO v_header_id;

    INSERT INTO kaifa_event_users (header_id, user_id, organization)
    VALUES (v_header_id, v_header->'user'->>'ns1:UserID', v_header->'user'->>'ns1:Organization');

    INSERT INTO kaifa_event_payloads (
        event_id, event_id_value, created_date_time, issuer_id, issuer_tracking_id, reason, severity, user_id,
        event_type_ref)
    VALUES (
        v_event_id, v_payload->>'event_id', (v_payload->>'created_date_time')::timestamptz,
        v_payload->>'issuer_id', v_payload->>'issuer_tracking_id', v_payload->>'reason', v_payload->>'severity',
        v_payload->>'user_id', v_payload->'event_type'->>'@ref')
    RETURNING id INTO v_payload_id;

    INSERT INTO kaifa_event_assets (payload_id, mrid, name)
    VALUES (v_payload_id, v_payload->'assets'->>'ns2:mRID', v_payload->'assets'->'ns2:Names'->>'ns2:name');

    IF v_payload ? 'event_details' THEN
        FOR v_detail IN SELECT * FROM jsonb_array_elements(v_payload->'event_details') LOOP
            INSERT INTO kaifa_event_details (payload_id, name, value)
            VALUES (v_payload_id, v_detail->>'ns2:name', v_detail->>'ns2:value');
        END LOOP;
    END IF;

    INSERT INTO kaifa_event_names (payload_id, name)
    VALUES (v_payload_id, v_payload->'names'->>'ns2:name');

    INSERT INTO kaifa_event_status (payload_id, date_time, reason, remark, value)
    VALUES (v_payload_id, (v_payload->'status'->>'ns2:dateTime')::timestamptz, v_payload->'status'->>'ns2:reason',
            v_payload->'status'->>'ns2:remark', v_payload->'status'->>'ns2:value');

    INSERT INTO kaifa_event_usage_points (payload_id, mrid, name)
    VALUES (v_payload_id, v_payload->'usage_point'->>'ns2:mRID',
            v_payload->'usage_point'->'ns2:Names'->>'ns2:name');

    INSERT INTO kaifa_event_metadata (event_id, source, processed_at)
    VALUES (v_event_id, json_data->'metadata'->>'source', (json_data->'metadata'->>'processed_at')::timestamptz);

    INSERT INTO kaifa_event_original_messages (event_id, original_timestamp, source, topic, processed_at)
    VALUES (v_event_id, (json_data->'original_message'->>'timestamp')::timestamptz,
            json_data->'original_message'->>'source', json_data->'original_message'->>'topic',
            (json_data->'original_message'->>'processed_at')::timestamptz);
    RETURN v_event_id;
END;
$$ LANGUAGE plpgsql;
