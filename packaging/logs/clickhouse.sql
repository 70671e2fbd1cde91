-- Events of whither in ClickHouse. Columns bear the fields' own names, so that lines go in as they are:
--
--   clickhouse-client --multiquery < clickhouse.sql
--   clickhouse-client --date_time_input_format best_effort --input_format_skip_unknown_fields 1 \
--       --query 'INSERT INTO whither.events FORMAT JSONEachRow' < events.jsonl
--
-- A field that is absent becomes an empty text, 0 or NULL. Fields without a column are passed over: add the column when you want one.

CREATE DATABASE IF NOT EXISTS whither;

CREATE TABLE IF NOT EXISTS whither.events
(
    `@timestamp`                       DateTime64(9, 'UTC'),
    `event.action`                     LowCardinality(String),
    `observer.name`                    LowCardinality(String),
    `device.id`                        LowCardinality(String),
    `whither.packet`                   UInt64,
    `source.mac`                       LowCardinality(String),
    `source.ip`                        Nullable(IPv6), -- IPv4 as ::ffff:a.b.c.d
    `source.port`                      UInt16,
    `source.bytes`                     UInt64,
    `destination.ip`                   Nullable(IPv6),
    `destination.port`                 UInt16,
    `destination.bytes`                UInt64,
    `destination.domain`               String,
    `destination.registered_domain`    LowCardinality(String),
    `destination.geo.country_iso_code` LowCardinality(String),
    `destination.as.number`            UInt32,
    `destination.as.organization.name` LowCardinality(String),
    `network.transport`                LowCardinality(String),
    `network.protocol`                 LowCardinality(String),
    `network.community_id`             String,
    `event.duration`                   UInt64,
    `dns.question.name`                String,
    `dns.question.type`                LowCardinality(String),
    `dns.response_code`                LowCardinality(String),
    `dns.resolved_ip`                  Array(String),
    `tls.client.server_name`           String,
    `tls.client.ja4`                   LowCardinality(String),
    `url.domain`                       String,
    `url.path`                         String,
    `user_agent.original`              String,
    `rule.name`                        String,
    `rule.ruleset`                     LowCardinality(String),
    `rule.category`                    LowCardinality(String),
    `whither.name_origin`              LowCardinality(String),
    `whither.rtt_ns`                   UInt64,
    `whither.location_verdict`         LowCardinality(String)
)
ENGINE = MergeTree
ORDER BY (`event.action`, `device.id`, `@timestamp`)
-- The deadline of the data.
TTL toDateTime(`@timestamp`) + INTERVAL 10 YEAR;

-- Where did each device send its bytes?
SELECT `device.id` AS device, `destination.geo.country_iso_code` AS country, `destination.domain` AS domain,
       sum(`source.bytes`) AS sent, sum(`destination.bytes`) AS received, count() AS flows
FROM whither.events
WHERE `event.action` = 'flow'
GROUP BY device, country, domain
ORDER BY sent + received DESC
LIMIT 20;

-- When did each device first meet each domain?
SELECT `device.id` AS device, `destination.registered_domain` AS domain, min(`@timestamp`) AS first
FROM whither.events
WHERE domain != ''
GROUP BY device, domain
ORDER BY first;

-- How regularly does a device call home? The median pause between hellos to one name, and how even the pauses are.
SELECT device, name, count() AS times, quantileExact(pause) AS median_seconds, round(stddevPop(pause) / avg(pause), 2) AS unevenness
FROM
(
    SELECT `device.id` AS device, `tls.client.server_name` AS name,
           dateDiff('second', lagInFrame(`@timestamp`) OVER (PARTITION BY device, name ORDER BY `@timestamp`), `@timestamp`) AS pause,
           row_number() OVER (PARTITION BY device, name ORDER BY `@timestamp`) AS number
    FROM whither.events
    WHERE `event.action` = 'tls-client-hello' AND name != ''
)
WHERE number > 1
GROUP BY device, name
HAVING times >= 3
ORDER BY unevenness;
