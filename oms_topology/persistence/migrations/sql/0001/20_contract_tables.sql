-- Every table of the deployed database, made where it does not stand yet. A table that stands is left
-- as it is here; the files that follow bring it up to the same state. Foreign keys: 40_keys.sql.
--
-- Names that mislead: network_feeders.substation_id and every dp_id of customers and meters are uuid
-- references, while network_substations.substation_id, network_distribution_points.dp_id and
-- scada_events.substation_id, .feeder_id are the text codes that people use.

-- Network topology

CREATE TABLE IF NOT EXISTS public.network_substations (
    id            uuid          DEFAULT gen_random_uuid() NOT NULL,
    substation_id varchar(64)   NOT NULL,
    name          varchar(200)  NOT NULL,
    location_lat  numeric(10,8),
    location_lng  numeric(11,8),
    region_code   varchar(10),
    voltage_level varchar(20),
    status        varchar(20)   DEFAULT 'active',
    created_at    timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at    timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT network_substations_pkey PRIMARY KEY (id),
    CONSTRAINT network_substations_substation_id_key UNIQUE (substation_id)
);

CREATE TABLE IF NOT EXISTS public.network_feeders (
    id            uuid          DEFAULT gen_random_uuid() NOT NULL,
    feeder_id     varchar(64)   NOT NULL,
    substation_id uuid          NOT NULL,
    name          varchar(200)  NOT NULL,
    location_lat  numeric(10,8),
    location_lng  numeric(11,8),
    capacity_kva  numeric(12,2),
    status        varchar(20)   DEFAULT 'active',
    created_at    timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at    timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT network_feeders_pkey PRIMARY KEY (id),
    CONSTRAINT network_feeders_feeder_id_key UNIQUE (feeder_id)
);

CREATE TABLE IF NOT EXISTS public.network_distribution_points (
    id           uuid          DEFAULT gen_random_uuid() NOT NULL,
    dp_id        varchar(64)   NOT NULL,
    feeder_id    uuid          NOT NULL,
    name         varchar(200)  NOT NULL,
    location_lat numeric(10,8),
    location_lng numeric(11,8),
    building_id  varchar(50),
    status       varchar(20)   DEFAULT 'active',
    created_at   timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at   timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT network_distribution_points_pkey PRIMARY KEY (id),
    CONSTRAINT network_distribution_points_dp_id_key UNIQUE (dp_id)
);

-- Customers, and the two registries older than oms_meters

CREATE TABLE IF NOT EXISTS public.oms_customers (
    id           uuid          DEFAULT gen_random_uuid() NOT NULL,
    customer_id  varchar(64)   NOT NULL,
    phone        varchar(32),
    address      text,
    building_id  varchar(50),
    dp_id        uuid,
    location_lat numeric(10,8),
    location_lng numeric(11,8),
    status       varchar(20)   DEFAULT 'active',
    created_at   timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at   timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_customers_pkey PRIMARY KEY (id),
    CONSTRAINT oms_customers_customer_id_key UNIQUE (customer_id)
);

CREATE TABLE IF NOT EXISTS public.oms_smart_meters (
    id                 uuid          DEFAULT gen_random_uuid() NOT NULL,
    meter_number       varchar(64)   NOT NULL,
    customer_id        uuid,
    asset_mrid         varchar(100),
    usage_point_mrid   varchar(100),
    dp_id              uuid,
    location_lat       numeric(10,8),
    location_lng       numeric(11,8),
    meter_type         varchar(50)   DEFAULT 'kaifa',
    status             varchar(20)   DEFAULT 'active',
    last_communication timestamptz,
    created_at         timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at         timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_smart_meters_pkey PRIMARY KEY (id),
    CONSTRAINT oms_smart_meters_meter_number_key UNIQUE (meter_number)
);

CREATE TABLE IF NOT EXISTS public.oms_onu_devices (
    id                uuid          DEFAULT gen_random_uuid() NOT NULL,
    onu_id            integer       NOT NULL,
    onu_serial_no     varchar(100),
    customer_id       uuid,
    dp_id             uuid,
    fibertech_id      varchar(50),
    olt_name          varchar(200),
    location_lat      numeric(10,8),
    location_lng      numeric(11,8),
    power_status      boolean       DEFAULT true,
    last_power_change timestamptz,
    status            varchar(20)   DEFAULT 'active',
    created_at        timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at        timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_onu_devices_pkey PRIMARY KEY (id),
    CONSTRAINT oms_onu_devices_onu_id_key UNIQUE (onu_id),
    CONSTRAINT oms_onu_devices_onu_serial_no_key UNIQUE (onu_serial_no)
);

-- Outages

CREATE TABLE IF NOT EXISTS public.oms_outage_events (
    id                         uuid          DEFAULT gen_random_uuid() NOT NULL,
    event_id                   varchar(64)   NOT NULL,
    event_type                 varchar(50)   NOT NULL,
    status                     varchar(32)   DEFAULT 'detected' NOT NULL,
    severity                   varchar(16)   DEFAULT 'medium' NOT NULL,
    confidence_score           numeric(5,2)  DEFAULT 0.0,
    affected_customers_count   integer       DEFAULT 0,
    estimated_restoration_time timestamptz,
    actual_restoration_time    timestamptz,
    root_cause                 varchar(200),
    description                text,
    affected_area_geojson      jsonb,
    event_latitude             numeric(10,8),
    event_longitude            numeric(11,8),
    substation_id              uuid,
    feeder_id                  uuid,
    dp_id                      uuid,
    first_detected_at          timestamptz   NOT NULL,
    last_updated_at            timestamptz   DEFAULT CURRENT_TIMESTAMP,
    created_at                 timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_outage_events_pkey PRIMARY KEY (id),
    CONSTRAINT oms_outage_events_event_id_key UNIQUE (event_id)
);

CREATE TABLE IF NOT EXISTS public.oms_event_sources (
    id                 uuid         DEFAULT gen_random_uuid() NOT NULL,
    outage_event_id    uuid         NOT NULL,
    source_type        varchar(32)  NOT NULL,
    source_event_id    varchar(100) NOT NULL,
    source_table       varchar(100) NOT NULL,
    correlation_weight numeric(5,2) DEFAULT 1.0,
    detected_at        timestamptz  NOT NULL,
    created_at         timestamptz  DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_event_sources_pkey PRIMARY KEY (id),
    CONSTRAINT oms_event_sources_outage_event_id_source_type_source_event__key
        UNIQUE (outage_event_id, source_type, source_event_id)
);

CREATE TABLE IF NOT EXISTS public.oms_event_timeline (
    id              uuid        DEFAULT gen_random_uuid() NOT NULL,
    outage_event_id uuid        NOT NULL,
    event_type      varchar(50) NOT NULL,
    status          varchar(32) NOT NULL,
    description     text,
    source          varchar(64),
    "timestamp"     timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
    metadata        jsonb,
    CONSTRAINT oms_event_timeline_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.oms_correlation_rules (
    id                         uuid           DEFAULT gen_random_uuid() NOT NULL,
    rule_name                  varchar(100)   NOT NULL,
    source_types               varchar(100)[] NOT NULL,
    correlation_window_minutes integer        DEFAULT 30,
    spatial_radius_meters      integer        DEFAULT 1000,
    confidence_threshold       numeric(5,2)   DEFAULT 0.7,
    weight_scada               numeric(5,2)   DEFAULT 1.0,
    weight_kaifa               numeric(5,2)   DEFAULT 0.8,
    weight_onu                 numeric(5,2)   DEFAULT 0.6,
    weight_call_center         numeric(5,2)   DEFAULT 0.4,
    is_active                  boolean        DEFAULT true,
    created_at                 timestamptz    DEFAULT CURRENT_TIMESTAMP,
    updated_at                 timestamptz    DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_correlation_rules_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.oms_storm_mode_config (
    id                         uuid         DEFAULT gen_random_uuid() NOT NULL,
    is_active                  boolean      DEFAULT false,
    correlation_window_minutes integer      DEFAULT 60,
    spatial_radius_meters      integer      DEFAULT 2000,
    confidence_threshold       numeric(5,2) DEFAULT 0.5,
    auto_activation_threshold  integer      DEFAULT 100,
    activated_at               timestamptz,
    deactivated_at             timestamptz,
    created_at                 timestamptz  DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_storm_mode_config_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.oms_crew_assignments (
    id                uuid          DEFAULT gen_random_uuid() NOT NULL,
    outage_event_id   uuid          NOT NULL,
    crew_id           varchar(64)   NOT NULL,
    crew_name         varchar(200),
    assignment_type   varchar(32)   NOT NULL,
    status            varchar(32)   DEFAULT 'assigned' NOT NULL,
    assigned_at       timestamptz   DEFAULT CURRENT_TIMESTAMP,
    estimated_arrival timestamptz,
    actual_arrival    timestamptz,
    completed_at      timestamptz,
    notes             text,
    location_lat      numeric(10,8),
    location_lng      numeric(11,8),
    CONSTRAINT oms_crew_assignments_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.oms_customer_notifications (
    id                uuid        DEFAULT gen_random_uuid() NOT NULL,
    outage_event_id   uuid        NOT NULL,
    customer_id       uuid        NOT NULL,
    notification_type varchar(32) NOT NULL,
    channel           varchar(32) NOT NULL,
    status            varchar(32) DEFAULT 'pending' NOT NULL,
    sent_at           timestamptz,
    delivered_at      timestamptz,
    message_content   text,
    created_at        timestamptz DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_customer_notifications_pkey PRIMARY KEY (id)
);

-- Meters: registry, mappings, audit

CREATE TABLE IF NOT EXISTS public.oms_meters (
    id                   uuid          DEFAULT gen_random_uuid() NOT NULL,
    meter_number         varchar(64)   NOT NULL,
    meter_type           varchar(50)   DEFAULT 'smart',
    customer_id          uuid,
    substation_id        uuid,
    feeder_id            uuid,
    dp_id                uuid,
    location_lat         numeric(10,8),
    location_lng         numeric(11,8),
    building_id          varchar(50),
    communication_status varchar(20)   DEFAULT 'unknown',
    last_communication   timestamptz,
    last_status_change   timestamptz,
    power_status         varchar(20)   DEFAULT 'unknown',
    last_power_change    timestamptz,
    asset_mrid           varchar(100),
    usage_point_mrid     varchar(100),
    onu_id               integer,
    onu_serial_no        varchar(100),
    status               varchar(20)   DEFAULT 'active',
    created_at           timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at           timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_meters_pkey PRIMARY KEY (id),
    CONSTRAINT oms_meters_meter_number_key UNIQUE (meter_number)
);

CREATE TABLE IF NOT EXISTS public.network_substation_meters (
    id            uuid        DEFAULT gen_random_uuid() NOT NULL,
    substation_id uuid        NOT NULL,
    meter_id      uuid        NOT NULL,
    feeder_id     uuid,
    priority      integer     DEFAULT 1,
    created_at    timestamptz DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT network_substation_meters_pkey PRIMARY KEY (id),
    CONSTRAINT network_substation_meters_substation_id_meter_id_key UNIQUE (substation_id, meter_id)
);

CREATE TABLE IF NOT EXISTS public.network_feeder_meters (
    id           uuid         DEFAULT gen_random_uuid() NOT NULL,
    feeder_id    uuid         NOT NULL,
    meter_id     uuid         NOT NULL,
    circuit_path varchar(200),
    priority     integer      DEFAULT 2,
    created_at   timestamptz  DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT network_feeder_meters_pkey PRIMARY KEY (id),
    CONSTRAINT network_feeder_meters_feeder_id_meter_id_key UNIQUE (feeder_id, meter_id)
);

CREATE TABLE IF NOT EXISTS public.oms_meter_status_events (
    id               uuid         DEFAULT gen_random_uuid() NOT NULL,
    meter_id         uuid         NOT NULL,
    event_type       varchar(50)  NOT NULL,
    source_type      varchar(32)  NOT NULL,
    source_event_id  varchar(100),
    previous_status  varchar(20),
    new_status       varchar(20)  NOT NULL,
    event_timestamp  timestamptz  NOT NULL,
    confidence_score numeric(5,2) DEFAULT 1.0,
    metadata         jsonb,
    created_at       timestamptz  DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT oms_meter_status_events_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.scada_event_affected_meters (
    id                  uuid        DEFAULT gen_random_uuid() NOT NULL,
    scada_event_id      uuid        NOT NULL,
    meter_id            uuid        NOT NULL,
    meter_status_before varchar(20),
    meter_status_after  varchar(20),
    checked_at          timestamptz DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT scada_event_affected_meters_pkey PRIMARY KEY (id),
    CONSTRAINT scada_event_affected_meters_scada_event_id_meter_id_key UNIQUE (scada_event_id, meter_id)
);

-- SCADA

CREATE TABLE IF NOT EXISTS public.scada_events (
    id                   uuid          DEFAULT gen_random_uuid() NOT NULL,
    event_type           varchar(64)   NOT NULL,
    substation_id        varchar(64)   NOT NULL,
    feeder_id            varchar(64)   NOT NULL,
    main_station_id      varchar(64)   NOT NULL,
    alarm_type           varchar(32)   NOT NULL,
    event_timestamp      timestamptz   NOT NULL,
    voltage              numeric(12,3),
    severity             varchar(16),
    reason               text,
    latitude             numeric(10,6),
    longitude            numeric(10,6),
    source               varchar(128),
    created_at           timestamptz   DEFAULT CURRENT_TIMESTAMP,
    affected_meter_count integer       DEFAULT 0,
    meters_checked_at    timestamptz,
    outage_event_id      uuid,
    CONSTRAINT scada_events_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.scada_raw_messages (
    id          uuid        DEFAULT gen_random_uuid() NOT NULL,
    raw_payload jsonb       NOT NULL,
    received_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT scada_raw_messages_pkey PRIMARY KEY (id)
);

-- ONU

CREATE TABLE IF NOT EXISTS public.onus (
    id                  integer       NOT NULL,
    fibertech_id        varchar(50),
    building_id         varchar(50),
    region_code         varchar(10),
    onu_serial_no       varchar(100),
    olt_name            varchar(200),
    area_fibertech      varchar(200),
    onu_power_flag      boolean       DEFAULT false,
    onu_power_flag_date timestamptz,
    location_lat        numeric(10,8),
    location_lng        numeric(11,8),
    created_at          timestamptz   DEFAULT CURRENT_TIMESTAMP,
    updated_at          timestamptz   DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT onus_pkey PRIMARY KEY (id),
    CONSTRAINT onus_onu_serial_no_key UNIQUE (onu_serial_no)
);

CREATE TABLE IF NOT EXISTS public.meters (
    id           serial        NOT NULL,
    meter_id     varchar(50)   NOT NULL,
    onu_id       integer,
    building_id  varchar(50),
    location_lat numeric(10,8),
    location_lng numeric(11,8),
    created_at   timestamptz   DEFAULT CURRENT_TIMESTAMP,
    oms_meter_id uuid,
    CONSTRAINT meters_pkey PRIMARY KEY (id),
    CONSTRAINT meters_meter_id_key UNIQUE (meter_id)
);

CREATE TABLE IF NOT EXISTS public.onu_events (
    id             serial        NOT NULL,
    event_id       varchar(100)  NOT NULL,
    onu_id         integer,
    event_type     varchar(50)   NOT NULL,
    "timestamp"    timestamptz   NOT NULL,
    alarm_category varchar(20),
    alarm_type     varchar(20),
    parcel_code    varchar(50),
    serial_number  varchar(100),
    location_lat   numeric(10,8),
    location_lng   numeric(11,8),
    nms_type       varchar(50),
    raw_payload    jsonb         NOT NULL,
    created_at     timestamptz   DEFAULT CURRENT_TIMESTAMP,
    meter_id       uuid,
    CONSTRAINT onu_events_pkey PRIMARY KEY (id),
    CONSTRAINT onu_events_event_id_key UNIQUE (event_id)
);

-- Call center

CREATE TABLE IF NOT EXISTS public.callcenter_tickets (
    id                 uuid        DEFAULT gen_random_uuid() NOT NULL,
    external_ticket_id varchar(64) NOT NULL,
    intake_id          varchar(64),
    oms_event_id       varchar(64),
    status             varchar(32) DEFAULT 'Registered' NOT NULL,
    intake_timestamp   timestamptz NOT NULL,
    source             varchar(64) DEFAULT 'call-center',
    created_at         timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at         timestamptz DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT callcenter_tickets_pkey PRIMARY KEY (id),
    CONSTRAINT callcenter_tickets_intake_id_key UNIQUE (intake_id),
    CONSTRAINT callcenter_tickets_oms_event_id_key UNIQUE (oms_event_id)
);

CREATE TABLE IF NOT EXISTS public.callcenter_customers (
    id           uuid        DEFAULT gen_random_uuid() NOT NULL,
    ticket_id    uuid        NOT NULL,
    phone        varchar(32),
    meter_number varchar(64),
    address      text,
    notes        text,
    meter_id     uuid,
    CONSTRAINT callcenter_customers_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.callcenter_ticket_status_history (
    id         uuid        DEFAULT gen_random_uuid() NOT NULL,
    ticket_id  uuid        NOT NULL,
    status     varchar(32) NOT NULL,
    changed_at timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
    note       text,
    CONSTRAINT callcenter_ticket_status_history_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.callcenter_raw_messages (
    id          uuid        DEFAULT gen_random_uuid() NOT NULL,
    ticket_id   uuid,
    raw_payload jsonb       NOT NULL,
    received_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT callcenter_raw_messages_pkey PRIMARY KEY (id)
);

-- KAIFA

CREATE TABLE IF NOT EXISTS public.kaifa_events (
    id              uuid        DEFAULT gen_random_uuid() NOT NULL,
    message_type    varchar(50) NOT NULL,
    event_timestamp timestamptz NOT NULL,
    created_at      timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at      timestamptz DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT kaifa_events_pkey PRIMARY KEY (id)
) PARTITION BY HASH (id);

CREATE TABLE IF NOT EXISTS public.kaifa_event_headers (
    id               uuid         DEFAULT gen_random_uuid() NOT NULL,
    event_id         uuid         NOT NULL,
    verb             varchar(20)  NOT NULL,
    noun             varchar(50)  NOT NULL,
    revision         varchar(10),
    header_timestamp timestamptz  NOT NULL,
    source           varchar(100),
    async_reply_flag boolean      DEFAULT false,
    ack_required     boolean      DEFAULT false,
    message_id       varchar(100),
    correlation_id   varchar(100),
    comment          text,
    CONSTRAINT kaifa_event_headers_pkey PRIMARY KEY (id),
    CONSTRAINT kaifa_event_headers_message_id_key UNIQUE (message_id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_users (
    id           uuid         DEFAULT gen_random_uuid() NOT NULL,
    header_id    uuid         NOT NULL,
    user_id      varchar(100),
    organization varchar(100),
    CONSTRAINT kaifa_event_users_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_payloads (
    id                 uuid         DEFAULT gen_random_uuid() NOT NULL,
    event_id           uuid         NOT NULL,
    event_id_value     varchar(100),
    created_date_time  timestamptz,
    issuer_id          varchar(100),
    issuer_tracking_id varchar(100),
    reason             varchar(200),
    severity           varchar(20),
    user_id            varchar(100),
    event_type_ref     varchar(50),
    CONSTRAINT kaifa_event_payloads_pkey PRIMARY KEY (id)
) PARTITION BY HASH (id);

CREATE TABLE IF NOT EXISTS public.kaifa_event_assets (
    id               uuid         DEFAULT gen_random_uuid() NOT NULL,
    payload_id       uuid         NOT NULL,
    mrid             varchar(100),
    name             varchar(200),
    name_type        varchar(100),
    name_description text,
    meter_id         uuid,
    CONSTRAINT kaifa_event_assets_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_details (
    id           uuid         DEFAULT gen_random_uuid() NOT NULL,
    payload_id   uuid         NOT NULL,
    name         varchar(100) NOT NULL,
    value        varchar(200) NOT NULL,
    detail_order integer      DEFAULT 0,
    CONSTRAINT kaifa_event_details_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_names (
    id               uuid         DEFAULT gen_random_uuid() NOT NULL,
    payload_id       uuid         NOT NULL,
    name             varchar(200),
    name_type        varchar(100),
    name_description text,
    CONSTRAINT kaifa_event_names_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_status (
    id         uuid         DEFAULT gen_random_uuid() NOT NULL,
    payload_id uuid         NOT NULL,
    date_time  timestamptz,
    reason     varchar(200),
    remark     text,
    value      varchar(50),
    CONSTRAINT kaifa_event_status_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_usage_points (
    id               uuid         DEFAULT gen_random_uuid() NOT NULL,
    payload_id       uuid         NOT NULL,
    mrid             varchar(100),
    name             varchar(200),
    name_type        varchar(100),
    name_description text,
    meter_id         uuid,
    CONSTRAINT kaifa_event_usage_points_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_metadata (
    id           uuid         DEFAULT gen_random_uuid() NOT NULL,
    event_id     uuid         NOT NULL,
    source       varchar(100),
    processed_at timestamptz,
    CONSTRAINT kaifa_event_metadata_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS public.kaifa_event_original_messages (
    id                 uuid         DEFAULT gen_random_uuid() NOT NULL,
    event_id           uuid         NOT NULL,
    original_timestamp timestamptz,
    source             varchar(100),
    topic              varchar(100),
    processed_at       timestamptz,
    CONSTRAINT kaifa_event_original_messages_pkey PRIMARY KEY (id)
);

-- The two partitioned tables have four hash partitions each. A database in which one of them is a plain
-- table keeps it so: the rows are what counts.
DO $$
DECLARE
    parent text;
    number integer;
BEGIN
    FOREACH parent IN ARRAY ARRAY['kaifa_events', 'kaifa_event_payloads'] LOOP
        CONTINUE WHEN (SELECT relkind FROM pg_class WHERE oid = format('public.%I', parent)::regclass) <> 'p'
            OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = format('public.%I', parent)::regclass);
        FOR number IN 0..3 LOOP
            EXECUTE format(
                'CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES WITH (MODULUS 4, REMAINDER %s)',
                parent || '_p' || number, parent, number);
        END LOOP;
    END LOOP;
END
$$;
