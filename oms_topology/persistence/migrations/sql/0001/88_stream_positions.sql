-- How far each consumer group has come: written in the transaction of the effects, and so the truth.

CREATE TABLE oms_topology.stream_position (
    consumer_group text        NOT NULL,
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    next_offset    bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT stream_position_pkey PRIMARY KEY (consumer_group, topic, partition),
    CONSTRAINT stream_position_partition_check CHECK (partition >= 0),
    CONSTRAINT stream_position_next_offset_check CHECK (next_offset >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE oms_topology.stream_position IS
    'Per consumer group and partition the offset of the first message that is still to be taken in.';

-- Records positions; one that lies behind the recorded one (a member that lost its partition meanwhile) changes nothing.
CREATE FUNCTION oms_topology.record_stream_positions(
    p_consumer_groups text[], p_topics text[], p_partitions integer[], p_next_offsets bigint[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO oms_topology.stream_position AS held (consumer_group, topic, partition, next_offset)
    -- One row per key, and in the order of the keys, so that two members never wait for each other.
    SELECT given.consumer_group, given.topic, given.partition, max(given.next_offset)
    FROM unnest(p_consumer_groups, p_topics, p_partitions, p_next_offsets)
        AS given (consumer_group, topic, partition, next_offset)
    GROUP BY given.consumer_group, given.topic, given.partition
    ORDER BY given.consumer_group, given.topic, given.partition
    ON CONFLICT ON CONSTRAINT stream_position_pkey DO UPDATE
    SET next_offset = excluded.next_offset, recorded_at = excluded.recorded_at
    WHERE excluded.next_offset > held.next_offset
$$;
