-- The queries of the deployed database and its trigger functions, under their names and signatures.

-- CREATE OR REPLACE keeps grants and dependents, but refuses other parameter names or result columns; only
-- then is the old function dropped.
DO $$
DECLARE
    wanted    record;
    meter_row constant text :=
        'TABLE(meter_id uuid, meter_number character varying, communication_status character varying,'
        ' power_status character varying, last_communication timestamp with time zone, customer_id uuid,'
        ' location_lat numeric, location_lng numeric)';
BEGIN
    FOR wanted IN
        SELECT to_regprocedure(signature) AS function, arguments, result
        FROM (VALUES
            ('public.get_meters_by_substation(varchar)', 'p_substation_id character varying', meter_row),
            ('public.get_meters_by_feeder(varchar)', 'p_feeder_id character varying', meter_row),
            ('public.haversine_distance_meters(numeric, numeric, numeric, numeric)',
             'lat1 numeric, lon1 numeric, lat2 numeric, lon2 numeric', 'double precision'),
            ('public.oms_update_updated_at()', '', 'trigger'),
            ('public.onu_update_updated_at()', '', 'trigger'),
            ('public.cc_update_updated_at()', '', 'trigger'),
            ('public.update_updated_at_column()', '', 'trigger')
        ) AS expected (signature, arguments, result)
        WHERE to_regprocedure(signature) IS NOT NULL
    LOOP
        IF pg_get_function_arguments(wanted.function) <> wanted.arguments
            OR pg_get_function_result(wanted.function) <> wanted.result
        THEN
            EXECUTE format('DROP FUNCTION %s', wanted.function::regprocedure);
        END IF;
    END LOOP;
END
$$;

-- Active meters mapped to a substation, by meter number; none for an unknown code.
CREATE OR REPLACE FUNCTION public.get_meters_by_substation(p_substation_id varchar)
RETURNS TABLE (
    meter_id uuid, meter_number varchar, communication_status varchar, power_status varchar,
    last_communication timestamptz, customer_id uuid, location_lat numeric, location_lng numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT m.id, m.meter_number, m.communication_status, m.power_status, m.last_communication, m.customer_id,
           m.location_lat, m.location_lng
    FROM public.network_substations AS s
    JOIN public.network_substation_meters AS sm ON sm.substation_id = s.id
    JOIN public.oms_meters AS m ON m.id = sm.meter_id
    WHERE s.substation_id = p_substation_id AND m.status = 'active'
    ORDER BY m.meter_number
$$;

-- Active meters mapped to a feeder, by meter number; none for an unknown code.
CREATE OR REPLACE FUNCTION public.get_meters_by_feeder(p_feeder_id varchar)
RETURNS TABLE (
    meter_id uuid, meter_number varchar, communication_status varchar, power_status varchar,
    last_communication timestamptz, customer_id uuid, location_lat numeric, location_lng numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT m.id, m.meter_number, m.communication_status, m.power_status, m.last_communication, m.customer_id,
           m.location_lat, m.location_lng
    FROM public.network_feeders AS f
    JOIN public.network_feeder_meters AS fm ON fm.feeder_id = f.id
    JOIN public.oms_meters AS m ON m.id = fm.meter_id
    WHERE f.feeder_id = p_feeder_id AND m.status = 'active'
    ORDER BY m.meter_number
$$;

-- Great-circle distance in metres on a sphere of 6 371 km. The haversine is clamped: near the antipode
-- rounding lifts it above one, and the root of a negative number is an error.
CREATE OR REPLACE FUNCTION public.haversine_distance_meters(lat1 numeric, lon1 numeric, lat2 numeric, lon2 numeric)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    half_lat constant double precision := radians(lat2::double precision - lat1::double precision) / 2;
    half_lon constant double precision := radians(lon2::double precision - lon1::double precision) / 2;
    haversine constant double precision := least(1.0, sin(half_lat) ^ 2
        + cos(radians(lat1::double precision)) * cos(radians(lat2::double precision)) * sin(half_lon) ^ 2);
BEGIN
    RETURN 2 * 6371000.0 * atan2(sqrt(haversine), sqrt(1 - haversine));
END
$$;

-- The four names under which the old scripts stamp a changed row.
CREATE OR REPLACE FUNCTION public.oms_update_updated_at()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := CURRENT_TIMESTAMP;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION public.onu_update_updated_at()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := CURRENT_TIMESTAMP;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION public.cc_update_updated_at()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := CURRENT_TIMESTAMP;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION public.update_updated_at_column()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := CURRENT_TIMESTAMP;
    RETURN NEW;
END
$$;
