-- What store_network fills by COPY; gone with the transaction. A place off the globe is kept with the device,
-- and left out where the contract's tables would refuse it.
CREATE TEMPORARY TABLE new_device (
    row_no integer PRIMARY KEY, kind text NOT NULL, code text NOT NULL, name text,
    parent_row integer, normal_parent_row integer, substation_row integer, feeder_row integer,
    is_source boolean NOT NULL, longitude double precision, latitude double precision, device_no integer,
    map_longitude numeric GENERATED ALWAYS AS
        (CASE WHEN abs(longitude) <= 180 AND abs(latitude) <= 90 THEN longitude END) STORED,
    map_latitude numeric GENERATED ALWAYS AS
        (CASE WHEN abs(longitude) <= 180 AND abs(latitude) <= 90 THEN latitude END) STORED
) ON COMMIT DROP;
CREATE TEMPORARY TABLE new_branch (
    row_no integer PRIMARY KEY, from_row integer, to_row integer, kind text, code text,
    is_switch boolean, normally_open boolean, is_open boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE new_meter (
    row_no integer PRIMARY KEY, meter_number text NOT NULL, device_row integer, substation_row integer,
    feeder_row integer, dp_row integer, customer_id text, priority integer,
    longitude double precision, latitude double precision,
    map_longitude numeric GENERATED ALWAYS AS
        (CASE WHEN abs(longitude) <= 180 AND abs(latitude) <= 90 THEN longitude END) STORED,
    map_latitude numeric GENERATED ALWAYS AS
        (CASE WHEN abs(longitude) <= 180 AND abs(latitude) <= 90 THEN latitude END) STORED
) ON COMMIT DROP;
CREATE TEMPORARY TABLE new_alternate (
    meter_row integer, device_row integer, priority integer, meter_no integer, meter_id uuid, device_no integer,
    feeder_id uuid
) ON COMMIT DROP;
