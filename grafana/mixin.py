#!/usr/bin/env python3
"""Writes dashboards/*.json. Python's standard library is all it needs.

    python3 grafana/mixin.py            # writes them
    python3 grafana/mixin.py --check    # says which are not as it would write them

Road taken: one short script, because four dashboards share their variables, their way to count and their look. Road not
taken: Jsonnet with a library of panels, which is one more tool and a download for whoever wants to change a title.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SENSOR = 'job=~"$job",sensor=~"$sensor"'
DEVICE = SENSOR + ',device=~"$device"'
OUTSIDE = 'country!~"local|multicast|unknown"'
NOTE = """[IP Geolocation by DB-IP](https://db-ip.com)

Locations are estimates from address databases: anycast, relays and content networks move the true place. This page tells where bytes \
went and how much. It never states what software can do or what a transfer is for."""
EXACT = " Exact while the sensor was not restarted in the range; else estimated by Prometheus."

# ---- queries

def total(metric, by, where):
    """What a counter grew by in the time range, whole: a series that was born in the range starts from zero."""
    series = f"whither_{metric}{{{where}}}"
    last = f"last_over_time({series}[$__range])"
    grown = f"{last} - ({series} offset $__range or 0 * {last}) and resets({series}[$__range]) == 0 or increase({series}[$__range])"
    return f"sum{' by (' + by + ')' if by else ''} ({grown})"


def step(metric, by, where):
    """The same for each step of a graph; what was counted before Prometheus began to scrape is left out."""
    series = f"whither_{metric}{{{where}}}"
    known = f"up{{{SENSOR}}} offset $__interval"
    return (f"sum by ({by}) (clamp_min({series} - ({series} offset $__interval or 0 * {series} and on (job, instance, sensor) {known}), 0))")


def both(kind, by, where, of=total):
    """Bytes sent and received together."""
    return f"{of(kind + '_transmit_bytes_total', by, where)} + {of(kind + '_receive_bytes_total', by, where)}"


def rate(metric, by, where):
    return f"sum by ({by}) (rate(whither_{metric}{{{where}}}[$__rate_interval]))"


def now(expr, legend=None, ref="A"):
    """A query for the end of the time range."""
    asked = {"refId": ref, "datasource": SOURCE, "editorMode": "code", "expr": expr, "instant": True, "range": False}
    return asked | ({"legendFormat": legend} if legend else {})


def table(expr, ref="A"):
    return now(expr, ref=ref) | {"format": "table"}


def graph(expr, legend, ref="A"):
    """A query for each step of the time range."""
    return {"refId": ref, "datasource": SOURCE, "editorMode": "code", "expr": expr, "instant": False, "range": True, "legendFormat": legend}


# ---- panels

def steps(*pairs):
    first, *rest = pairs
    return {"mode": "absolute", "steps": [{"color": first, "value": None}] + [{"color": color, "value": value} for value, color in rest]}


def panel(kind, title, text, unit, empty, targets, options, defaults=None, overrides=None, **more):
    plain = {"color": {"mode": "thresholds"}, "thresholds": steps("text"), "mappings": []}
    return {
        "type": kind, "title": title, "description": text, "datasource": SOURCE, "pluginVersion": "10.4.0",
        "fieldConfig": {"defaults": {"unit": unit, "noValue": empty} | plain | (defaults or {}), "overrides": overrides or []},
        "options": options, "targets": targets,
    } | more


REDUCED = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def stat(title, text, unit, empty, query, legend=None, thresholds=None, mappings=None):
    options = {"colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
               "reduceOptions": REDUCED}
    defaults = {"thresholds": thresholds or steps("text")} | ({"mappings": mappings} if mappings else {})
    return panel("stat", title, text, unit, empty, [now(query, legend)], options, defaults)


def lines(title, text, unit, empty, *targets, stacked=False, bars=False, overrides=None, color="palette-classic-by-name", maximum=None):
    custom = {
        "drawStyle": "bars" if bars else "line", "lineInterpolation": "linear", "barAlignment": -1 if bars else 0, "lineWidth": 1,
        "fillOpacity": 70 if stacked or bars else 10, "gradientMode": "none", "showPoints": "never" if bars else "auto", "pointSize": 5,
        "spanNulls": False, "axisPlacement": "auto", "axisLabel": "", "scaleDistribution": {"type": "linear"},
        "stacking": {"group": "A", "mode": "normal" if stacked or bars else "none"}, "thresholdsStyle": {"mode": "off"},
    }
    legend = {"displayMode": "table", "placement": "right", "showLegend": True}
    legend |= {"calcs": ["sum"], "sortBy": "Total", "sortDesc": True} if bars else {"calcs": ["lastNotNull", "max"]}
    defaults = {"color": {"mode": color}, "custom": custom, "min": 0} | ({"max": maximum} if maximum else {})
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, text, unit, empty, list(targets), options, defaults, overrides, **({"interval": "1m"} if bars else {}))


def bargauge(title, text, unit, empty, query, legend, maximum=None, thresholds=None):
    options = {"displayMode": "basic", "orientation": "horizontal", "showUnfilled": True, "valueMode": "color", "minVizHeight": 10,
               "minVizWidth": 0, "reduceOptions": REDUCED}
    defaults = {"min": 0, "thresholds": thresholds or steps("blue")} | ({"max": maximum} if maximum else {})
    return panel("bargauge", title, text, unit, empty, [now(query, legend)], options, defaults)


def pie(title, text, unit, empty, query, legend):
    options = {"pieType": "donut", "displayLabels": ["name", "percent"], "tooltip": {"mode": "multi", "sort": "desc"},
               "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "values": ["value", "percent"], "calcs": []},
               "reduceOptions": REDUCED}
    return panel("piechart", title, text, unit, empty, [now(query, legend)], options, {"color": {"mode": "palette-classic-by-name"}})


def field(name, **properties):
    return {"matcher": {"id": "byName", "options": name},
            "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]}


def device_link(name="Device"):
    url = "/d/whither-device?${datasource:queryparam}&${job:queryparam}&${sensor:queryparam}&var-device=${__value.raw}&${__url_time_range}"
    return field(name, links=[{"title": "This device", "url": url}])


DASH = {"matcher": {"id": "byRegexp", "options": ".*"}, "properties": [{"id": "noValue", "value": "–"}]}
SHADES = steps("super-light-blue", (1e4, "light-blue"), (1e6, "blue"), (1e8, "semi-dark-blue"), (1e10, "dark-blue"))


def rows(title, text, unit, empty, targets, columns, sort=None, overrides=(), hidden=()):
    """A table: `columns` maps a label or `Value #A` to its heading, in order; `sort` is the heading that decides the order of the rows."""
    organize = {"excludeByName": {"Time": True} | {name: True for name in hidden},
                "indexByName": {name: at for at, name in enumerate(columns)}, "renameByName": columns}
    options = {"cellHeight": "sm", "frameIndex": 0, "showHeader": True} | ({"sortBy": [{"displayName": sort, "desc": True}]} if sort else {})
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}
    merge = [{"id": "merge", "options": {}}] if len(targets) > 1 else []
    return panel("table", title, text, unit, empty, targets, options, {"custom": custom}, [DASH, *overrides],
                 transformations=merge + [{"id": "organize", "options": organize}])


def heat(title, text, unit, empty, query, row, column, shades=SHADES):
    """A table with a column for each value of one label, coloured by size."""
    options = {"cellHeight": "sm", "frameIndex": 0, "showHeader": True}
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False}
    colour = {"matcher": {"id": "byType", "options": "number"},
              "properties": [{"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
                             {"id": "custom.align", "value": "right"}]}
    corner = f"{row}\\{column}"
    link = device_link(corner)
    link["properties"] += [{"id": "displayName", "value": row.capitalize()}, {"id": "custom.minWidth", "value": 180}]
    matrix = [{"id": "sortBy", "options": {"fields": {}, "sort": [{"field": column, "desc": False}]}},
              {"id": "groupingToMatrix", "options": {"columnField": column, "rowField": row, "valueField": "Value", "emptyValue": "null"}}]
    return panel("table", title, text, unit, empty, [table(query)], options, {"custom": custom, "thresholds": shades},
                 [DASH, colour, link], transformations=matrix)


def world(title, text, query):
    """Markers on outlines that Grafana carries itself; the base layer is an empty picture, so that no browser asks a tile server."""
    size = {"field": "Bytes", "fixed": 5, "min": 4, "max": 24}
    style = {"size": size, "color": {"field": "Bytes", "fixed": "blue"}, "opacity": 0.7, "rotation": {"fixed": 0, "max": 360, "min": -360, "mode": "mod"},
             "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"}, "symbolAlign": {"horizontal": "center", "vertical": "center"},
             "text": {"field": "country", "fixed": "", "mode": "field"},
             "textConfig": {"fontSize": 12, "offsetX": 0, "offsetY": 0, "textAlign": "center", "textBaseline": "middle"}}
    outlines = {"type": "geojson", "name": "Countries", "tooltip": False,
                "config": {"src": "public/maps/countries.geojson", "rules": [],
                           "style": {"color": {"fixed": "semi-dark-blue"}, "opacity": 0.1, "lineWidth": 1}}}
    markers = {"type": "markers", "name": "Bytes", "tooltip": True, "config": {"showLegend": False, "style": style},
               "location": {"mode": "lookup", "lookup": "country", "gazetteer": "public/gazetteer/countries.json"}}
    empty = {"type": "xyz", "name": "Nothing",
             "config": {"url": "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "attribution": ""}}
    options = {"basemap": empty, "layers": [outlines, markers],
               "controls": {"mouseWheelZoom": False, "showAttribution": True, "showDebug": False, "showMeasure": False, "showScale": False,
                            "showZoom": True},
               "tooltip": {"mode": "details"}, "view": {"allLayers": True, "id": "zero", "lat": 0, "lon": 0, "zoom": 1}}
    rename = {"id": "organize", "options": {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {"Value": "Bytes"}}}
    return panel("geomap", title, text, "decbytes", "Nothing counted in this time range", [table(query)], options,
                 {"thresholds": SHADES}, transformations=[rename])


def words(title, text):
    return {"type": "text", "title": title, "description": "The source of the locations and the limits of what is shown.",
            "pluginVersion": "10.4.0", "options": {"mode": "markdown", "content": text}}


# ---- dashboards

BOARDS = {"whither-overview": "Overview", "whither-device": "Device", "whither-compare": "Compare", "whither-health": "Sensor health"}


NOTHING_YET = {"text": "", "value": ""}  # Grafana takes the first choice


def variable(name, label, text, query, multi=True, every=".+", sort=1):
    asked = {"name": name, "label": label, "description": text, "type": "query", "datasource": SOURCE,
             "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
             "refresh": 2, "sort": sort, "regex": "", "multi": multi, "includeAll": multi, "hide": 0, "skipUrlSync": False, "options": [],
             "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if multi else NOTHING_YET}
    return asked | ({"allValue": every} if multi else {})


DATASOURCE = {"name": "datasource", "label": "Data source", "description": "The Prometheus that scrapes the sensors.", "type": "datasource",
              "query": "prometheus", "regex": "", "refresh": 1, "multi": False, "includeAll": False, "hide": 0, "skipUrlSync": False,
              "options": [], "current": NOTHING_YET}
JOB = variable("job", "Job", "The scrape job of the sensors.", "label_values(whither_build_info, job)")
# Also a sensor whose scrape gives it no such label.
BY_SENSOR = variable("sensor", "Sensor", "Access points, by the label `sensor` that the scrape or the agent gives.",
                     'label_values(whither_build_info{job=~"$job"}, sensor)', every=".*")
DEVICES = f"label_values(whither_device_transmit_bytes_total{{{SENSOR}}}, device)"


def device(name="device", label="Device", multi=True, sort=1):
    return variable(name, label, "By alias, else MAC, else address.", DEVICES, multi, sort=sort)


def dashboard(uid, title, text, variables, layout, annotations=()):
    """`layout` is rows of (height, [(width, panel), ...]), from the top."""
    panels, y = [], 0
    for height, row in layout:
        x = 0
        for width, one in row:
            place = {"h": height, "w": width, "x": x, "y": y}
            panels.append({"id": len(panels) + 1, "gridPos": place} | one)
            x += width
        y += height
    own = {"builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True,
           "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard"}
    # One by one, not by tag with all variables: All of the Overview's devices is no choice where one is asked for.
    others = [{"type": "link", "title": name, "url": f"/d/{to}?${{datasource:queryparam}}&${{job:queryparam}}&${{sensor:queryparam}}",
               "keepTime": True, "includeVars": False, "targetBlank": False, "icon": "dashboard", "tooltip": "", "tags": [],
               "asDropdown": False} for to, name in BOARDS.items() if to != uid]
    return {
        "uid": uid, "title": title, "description": text, "tags": ["whither"], "schemaVersion": 39, "version": 1, "editable": True,
        "graphTooltip": 1, "refresh": "30s", "timezone": "browser", "fiscalYearStartMonth": 0, "weekStart": "", "liveNow": False,
        "time": {"from": "now-6h", "to": "now"}, "timepicker": {}, "links": others, "annotations": {"list": [own, *annotations]},
        "templating": {"list": [DATASOURCE, JOB, BY_SENSOR, *variables]}, "panels": panels,
    }


NOTHING = "Nothing counted in this time range"


def unnamed(where):
    outside = where + ',country!~"local|multicast"'
    none = both("destination", "", outside + ',origin="none"')
    return f"(({none}) or vector(0)) / (({both('destination', '', outside)}) > 0)"


def destinations(by, where):
    return [table(total("destination_transmit_bytes_total", by, where), "A"), table(total("destination_receive_bytes_total", by, where), "B")]


def overview():
    by_country = "Bytes that the selected devices {} in each step of time, by the other side's country; the bars add up to the total. " \
                 "The step in which a sensor was restarted shows too little."
    return dashboard("whither-overview", "Whither / Overview", "Per device: which countries and which destinations, and how many bytes.", [device()], [
        (4, [
            (3, stat("Devices", "Devices with traffic at the end of the time range, as told apart by alias or MAC (or by address on links without "
                     "MACs). A phone that changes its MAC is counted once for each.", "short", "No device yet",
                     f"count(count by (device) (whither_device_transmit_bytes_total{{{DEVICE}}}))")),
            (3, stat("Countries", "Countries that the selected devices exchanged bytes with in the time range, by address database. Local, "
                     "multicast and unknown are not counted.", "short", "None yet",
                     f"count(({both('country', 'country', DEVICE + ',' + OUTSIDE)}) > 0)")),
            (3, stat("Sent", "Bytes that the selected devices sent in the time range: frames on the wire." + EXACT, "decbytes", NOTHING,
                     total("device_transmit_bytes_total", "", DEVICE))),
            (3, stat("Received", "Bytes that the selected devices received in the time range: frames on the wire." + EXACT, "decbytes", NOTHING,
                     total("device_receive_bytes_total", "", DEVICE))),
            (3, stat("First contacts", "Countries, autonomous systems and domains that a device met for the first time in the time range, "
                     "after its learning window.", "short", "No device yet", total("first_contacts_total", "", DEVICE))),
            (3, stat("Watchlist hits", "Conversations in the time range with what a watchlist carries. That a list carries it is all that this "
                     "says.", "short", "None", total("watchlist_hits_total", "", DEVICE))),
            (3, stat("Bytes without a name", "Share of the bytes with addresses outside for which no name was seen. What is hidden by "
                     "encrypted DNS or Encrypted ClientHello stands here.", "percentunit", NOTHING, unnamed(DEVICE))),
            (3, stat("Last packet", "When the newest packet was captured, by the capture's own clock. For a replayed file that is the time in "
                     "the file.", "dateTimeFromNow", "No packet yet", f"max(whither_last_packet_timestamp_seconds{{{SENSOR}}}) * 1000")),
        ]),
        (9, [
            (14, heat("Devices × countries", "Bytes sent and received in the time range by each device (row) with each country (column). The "
                      "colour is by size only and judges nothing." + EXACT, "decbytes", NOTHING, both("country", "device, country", DEVICE),
                      "device", "country")),
            (10, world("World map", "Bytes sent and received in the time range with each country, at the country's middle. The country is that "
                       "of the address, by database: an estimate.", both("country", "country", DEVICE + "," + OUTSIDE))),
        ]),
        (9, [
            (12, lines("Sent, by country", by_country.format("sent"), "decbytes", NOTHING,
                       graph(step("country_transmit_bytes_total", "country", DEVICE), "{{country}}"), bars=True)),
            (12, lines("Received, by country", by_country.format("received"), "decbytes", NOTHING,
                       graph(step("country_receive_bytes_total", "country", DEVICE), "{{country}}"), bars=True)),
        ]),
        (8, [
            (8, lines("First contacts over time", "How many countries, autonomous systems and domains each device met for the first time, after its "
                      "learning window. Which ones they were, the events tell.", "short", "No device yet",
                      graph(step("first_contacts_total", "device, kind", DEVICE), "{{device}} {{kind}}"), bars=True)),
            (8, lines("Watchlist hits over time", "Conversations with what a watchlist carries, by the list's category.", "short",
                      "No hit in this time range", graph(step("watchlist_hits_total", "category", DEVICE), "{{category}}"), bars=True)),
            (8, heat("Watchlist hits: devices × categories", "Conversations of each device (row) with what a watchlist carries, by category "
                     "(column), in the time range.", "short", "No hit in this time range", total("watchlist_hits_total", "device, category", DEVICE),
                     "device", "category", steps("super-light-blue", (10, "light-blue"), (100, "blue"), (1000, "semi-dark-blue")))),
        ]),
        (11, [
            (24, rows("Top destinations of each device", "Registrable domain (or AS, where no name was seen) that each device exchanged bytes with "
                      "in the time range. Named by: what told the name (sni, quic, host, dns); ech is only the public name of an encrypted hello; "
                      "none is no name at all. Country and AS are those of the address.", "decbytes", NOTHING,
                      destinations("device, destination, origin, country, asn", DEVICE),
                      {"device": "Device", "destination": "Destination", "origin": "Named by", "country": "Country", "asn": "AS",
                       "Value #A": "Sent", "Value #B": "Received"}, "Sent",
                      [device_link(), *(field(name, custom__width=110) for name in ("Country", "AS", "Named by"))])),
        ]),
        (8, [
            (12, lines("Handshake time, by country", "Median time from TCP SYN to SYN-ACK (or from QUIC's first flight to its answer) at the sensor, by the "
                       "country of the server's address. Light in glass makes about 100 km in a millisecond there and back: a short time limits how "
                       "far away the server can be, a long one proves nothing.", "s", "No handshake in this time range",
                       graph(f"histogram_quantile(0.5, sum by (country, le) (rate(whither_handshake_rtt_seconds_bucket{{{SENSOR}}}[$__rate_interval])))",
                             "{{country}}"))),
            (8, rows("Alerts", "Alerts of this mixin that are pending or firing, if Prometheus has its rules. What each one means stands in its "
                     "annotation `runbook`.", "short", "None",
                     [table(f'count by (alertname, alertstate, severity, device, sensor) (ALERTS{{alertname=~"Whither.+",{SENSOR}}})')],
                     {"alertname": "Alert", "alertstate": "State", "severity": "Severity", "device": "Device", "sensor": "Sensor"},
                     overrides=[device_link()], hidden=("Value",))),
            (4, words("How to read this", NOTE)),
        ]),
    ])


def one_device():
    # A variable of one value is filled in as it is, so that it must not be read as a regular expression.
    chosen = SENSOR + ',device="$device"'
    outside = chosen + "," + OUTSIDE
    classes = chosen + ',class!~"local|multicast"'
    contacts = {"name": "First contacts", "datasource": SOURCE, "enable": True, "hide": False, "iconColor": "orange",
                "target": graph(step("first_contacts_total", "device, kind", chosen) + " > 0", "", "Anno") | {"interval": "60s"},
                "titleFormat": "First contact", "textFormat": "{{device}}: a new {{kind}}", "tagKeys": "kind", "useValueForTime": False}
    return dashboard("whither-device", "Whither / Device", "One device: where, what, how often, named by what, hidden by what.",
                     [device(multi=False)], [
        (5, [
            (9, rows("What is known of it", "Its MAC, the maker by the IEEE registry (none for a random MAC), the name that it told by DHCP.", "short",
                     "Not seen in this time range", [table(f"max by (device, mac, vendor, hostname, randomized) (last_over_time(whither_device_info{{{chosen}}}[$__range]))")],
                     {"device": "Device", "mac": "MAC", "vendor": "Maker", "hostname": "Host name", "randomized": "Random MAC"}, hidden=("Value",))),
            (3, stat("Sent", "Bytes that the device sent in the time range: frames on the wire." + EXACT, "decbytes", NOTHING,
                     total("device_transmit_bytes_total", "", chosen))),
            (3, stat("Received", "Bytes that the device received in the time range: frames on the wire." + EXACT, "decbytes", NOTHING,
                     total("device_receive_bytes_total", "", chosen))),
            (3, stat("Countries", "Countries that it exchanged bytes with in the time range, by address database.", "short", "None",
                     f"count(({both('country', 'country', outside)}) > 0)")),
            (3, stat("Destinations", "Registrable domains, or autonomous systems where no name was seen, that it exchanged bytes with in the time "
                     "range.", "short", "None", f"count(({both('destination', 'destination', outside)}) > 0)")),
            (3, stat("First contacts", "Countries, autonomous systems and domains that it met for the first time in the time range, after its "
                     "learning window.", "short", "Not seen yet", total("first_contacts_total", "", chosen))),
        ]),
        (9, [
            (8, rows("Countries", "Bytes with each country in the time range. Expected: 1 where the devices file expects the country of this device.",
                     "decbytes", NOTHING,
                     [table(total("country_transmit_bytes_total", "country", chosen), "A"), table(total("country_receive_bytes_total", "country", chosen), "B"),
                      table(f"max by (country) (whither_device_expected_country{{{chosen}}})", "C")],
                     {"country": "Country", "Value #A": "Sent", "Value #B": "Received", "Value #C": "Expected"}, "Sent",
                     [field("Expected", unit="short", custom__width=90)])),
            (16, lines("Bytes, by country", "Bytes sent and received in each step of time, by the other side's country. Marks are first contacts.", "decbytes",
                       NOTHING, graph(both("country", "country", chosen, step), "{{country}}"), bars=True)),
        ]),
        (10, [
            (16, rows("Destinations", "Registrable domain (or AS, where no name was seen) in the time range, with what told the name, and the country and "
                      "AS of the address.", "decbytes", NOTHING, destinations("destination, origin, country, asn", chosen),
                      {"destination": "Destination", "origin": "Named by", "country": "Country", "asn": "AS", "Value #A": "Sent", "Value #B": "Received"},
                      "Sent", [field(name, custom__width=100) for name in ("Country", "AS", "Named by")])),
            (8, pie("Bytes, by what named them", "Bytes with destinations outside by what told the name: sni and quic (a hello), host (an HTTP request), dns "
                    "(an answer to its own question), ech (only a public name), none.", "decbytes", NOTHING,
                    both("destination", "origin", outside), "{{origin}}")),
        ]),
        (8, [
            (8, lines("Conversations, by protocol", "How often: conversations that began in each step of time.", "short", NOTHING,
                       graph(step("flows_total", "protocol", chosen), "{{protocol}}"), bars=True)),
            (8, rows("Rhythm", "Destinations that it contacts at regular times: the median gap, and how regular the beats are in time and size "
                      "(0 to 1; random ones score about one half).", "s", "No rhythm found: that takes several contacts in the time seen",
                      [table(f"max by (destination) (whither_rhythm_period_seconds{{{chosen}}})", "A"),
                       table(f"max by (destination) (whither_rhythm_regularity_ratio{{{chosen}}})", "B")],
                      {"destination": "Destination", "Value #A": "Every", "Value #B": "Regularity"}, "Regularity",
                      [field("Regularity", unit="percentunit", custom__width=120)])),
            (8, pie("Bytes, by service", "Bytes with servers outside, both directions, by what a watchlist or the port says that they are for; none where "
                    "nothing says it, or only ambiguously.", "decbytes", NOTHING, total("service_bytes_total", "category", chosen) + " > 0", "{{category}}")),
        ]),
        (8, [
            (16, lines("Visibility budget", "Each byte with addresses outside in exactly one class: named by sni, quic, host, certificate or dns; hidden by "
                       "encrypted DNS (doh, dot, doq), ech or a tunnel (relay, wireguard, openvpn, ipsec, vpn, tor); bare addresses; lost.", "decbytes", NOTHING,
                       graph(both("visibility", "class", classes, step), "{{class}}"), bars=True)),
            (8, bargauge("Visibility budget, shares", "The same as shares of the bytes in the time range.", "percentunit", NOTHING,
                         f"({both('visibility', 'class', classes)}) / on () group_left () (({both('visibility', '', classes)}) > 0)",
                         "{{class}}", 1)),
        ]),
        (8, [
            (8, lines("Location verdicts", "Bytes with servers outside by what handshake times say of the database's country: consistent (not "
                      "contradicted, which is no proof), refuted (the answer came too soon for it), unmeasured.", "decbytes", NOTHING,
                      graph(step("location_bytes_total", "verdict", chosen), "{{verdict}}"), bars=True)),
            (8, rows("Watchlist hits", "Conversations with what a watchlist carries, in the time range.", "short", "No hit in this time range",
                     [table(total("watchlist_hits_total", "ruleset, category", chosen))],
                     {"ruleset": "List", "category": "Category", "Value": "Conversations"}, "Conversations")),
            (8, rows("Config pulls", "Conversations with hosts that a watchlist files under configuration, by vendor, and how often the answer was of another "
                     "size class than the one before.", "short", "No pull in this time range",
                     [table(total("config_pulls_total", "vendor", chosen), "A"), table(total("config_pull_changes_total", "vendor", chosen), "B")],
                     {"vendor": "Vendor", "Value #A": "Pulls", "Value #B": "Answer changed"}, "Pulls")),
        ]),
        (7, [
            (8, lines("First contacts over time", "New countries, autonomous systems and domains after the learning window. Which ones, the events tell.", "short",
                       "Not seen yet", graph(step("first_contacts_total", "kind", chosen), "{{kind}}"), bars=True)),
            (4, stat("Databases disagree", "Share of the bytes with servers outside for whose addresses the databases name different countries.", "percentunit",
                     NOTHING, f"{total('geoip_disagreement_bytes_total', '', chosen)} / ({total('location_bytes_total', '', chosen)} > 0)")),
            (8, lines("Pending", "Bytes that are counted but not yet given to a destination: they become named, or bare, when the conversation tells or ends.",
                      "decbytes", "Not seen yet", graph(f"sum by (device) (whither_pending_bytes{{{chosen}}})", "{{device}}"))),
            (4, words("How to read this", NOTE)),
        ]),
    ], [contacts])


def compare():
    sides = {name: f'{SENSOR},device="${name}"' for name in ("device_a", "device_b")}
    a, b = (both("destination", "destination", where + ',destination!~"local|multicast|unknown"') for where in sides.values())
    a, b = f"(({a}) > 0)", f"(({b}) > 0)"
    country_a, country_b = (f"(({both('country', 'country', where + ',' + OUTSIDE)}) > 0)" for where in sides.values())
    only = {"destination": "Destination", "Value": "Bytes"}

    def side_by_side(title, text, kind, label, heading, extra=""):
        targets = [table(both(kind, label, where + extra), ref) for where, ref in zip(sides.values(), "AB")]
        return pair(title, text, "decbytes", NOTHING, targets, {label: heading})

    def pair(title, text, unit, empty, targets, columns):
        # A heading of a transformation takes no variable before Grafana 11; a display name does.
        made = rows(title, text, unit, empty, targets, columns | {"Value #A": "A", "Value #B": "B"},
                    overrides=[field("A", displayName="A: ${device_a}"), field("B", displayName="B: ${device_b}")])
        made["transformations"].insert(1, {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "Value #A", "desc": True}]}})
        return made

    return dashboard("whither-compare", "Whither / Compare", "Two devices side by side: what only one of them contacts, and what both do.",
                     [device("device_a", "Device A", False), device("device_b", "Device B", False, 2)], [
        (4, [
            (4, stat("A sent and received", "Bytes of device A in the time range: frames on the wire." + EXACT, "decbytes", NOTHING, both("device", "", sides["device_a"]))),
            (4, stat("B sent and received", "Bytes of device B in the time range: frames on the wire." + EXACT, "decbytes", NOTHING, both("device", "", sides["device_b"]))),
            (4, stat("Destinations of A only", "Registrable domains, or autonomous systems where no name was seen, that only A exchanged bytes with.",
                     "short", "None", f"count({a} unless on (destination) {b})")),
            (4, stat("Destinations of B only", "Registrable domains, or autonomous systems where no name was seen, that only B exchanged bytes with.",
                     "short", "None", f"count({b} unless on (destination) {a})")),
            (4, stat("Destinations of both", "Registrable domains, or autonomous systems where no name was seen, that both exchanged bytes with.",
                     "short", "None", f"count({a} and on (destination) {b})")),
            (4, stat("Countries of both", "Countries that both exchanged bytes with, by address database.", "short", "None",
                     f"count({country_a} and on (country) {country_b})")),
        ]),
        (11, [
            (7, rows("Only A", "Destinations that device A exchanged bytes with in the time range and device B did not. Not seen with B is no proof that B never "
                     "contacts them: look at the length of the range.", "decbytes", "None", [table(f"{a} unless on (destination) {b}")], only, "Bytes")),
            (10, pair("Both", "Destinations that both devices exchanged bytes with in the time range.", "decbytes", "None",
                      [table(f"{a} and on (destination) {b}", "A"), table(f"{b} and on (destination) {a}", "B")],
                      {"destination": "Destination"})),
            (7, rows("Only B", "Destinations that device B exchanged bytes with in the time range and device A did not. Not seen with A is no proof that A never "
                     "contacts them: look at the length of the range.", "decbytes", "None", [table(f"{b} unless on (destination) {a}")], only, "Bytes")),
        ]),
        (9, [
            (8, side_by_side("Countries", "Bytes sent and received with each country in the time range.", "country", "country", "Country")),
            (8, side_by_side("Visibility", "Bytes by what is known of their destination: named by, hidden by, or bare.", "visibility", "class", "Class")),
            (8, pair("Watchlist hits", "Conversations with what a watchlist carries, by category, in the time range.", "short", "No hit in this time range",
                     [table(total("watchlist_hits_total", "category", where), ref) for where, ref in zip(sides.values(), "AB")],
                     {"category": "Category"})),
        ]),
        (8, [
            (10, lines("Bytes of A, by country", "Bytes that device A sent and received in each step of time.", "decbytes", NOTHING,
                       graph(both("country", "country", sides["device_a"], step), "{{country}}"), bars=True)),
            (10, lines("Bytes of B, by country", "Bytes that device B sent and received in each step of time.", "decbytes", NOTHING,
                       graph(both("country", "country", sides["device_b"], step), "{{country}}"), bars=True)),
            (4, words("How to read this", NOTE)),
        ]),
    ])


def health():
    who = "{{sensor}} {{instance}}"
    per = "sensor, instance"
    orange = {"matcher": {"id": "byFrameRefID", "options": "B"}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": "orange"}}]}
    up = [{"type": "value", "options": {"0": {"text": "down", "color": "red", "index": 0}, "1": {"text": "up", "color": "green", "index": 1}}}]
    plain = {"color": "palette-classic"}
    return dashboard("whither-health", "Whither / Sensor health", "Whether the sensors see all that passes, and can tell it.", [], [
        (5, [
            (4, stat("Scraped", "Whether Prometheus reaches each sensor.", "short", "No sensor yet", f"max by ({per}) (up{{{SENSOR}}})", who, mappings=up)),
            (4, stat("Capturing", "Whether each sensor's interface is there and captured on. A sensor that reads a file has none.", "short", "No live capture",
                     f"min by ({per}, interface) (whither_capture_up{{{SENSOR}}})", "{{sensor}} {{interface}}", mappings=up)),
            (4, stat("Last packet", "When each sensor's newest packet was captured, by the capture's own clock.", "dateTimeFromNow", "No packet yet",
                     f"max by ({per}) (whither_last_packet_timestamp_seconds{{{SENSOR}}}) * 1000", who)),
            (4, stat("Dropped packets", "Packets in the time range that were dropped by the kernel or the interface before they could be counted.", "short", "No live capture",
                     total("capture_dropped_packets_total", "", SENSOR), thresholds=steps("green", (1, "orange")))),
            (4, stat("Address databases built", "The date of each address database. Networks move: an old one misplaces more.", "dateTimeFromNow", "No sensor yet",
                     f"min by (database) (whither_geoip_build_timestamp_seconds{{{SENSOR}}}) * 1000", "{{database}}")),
            (4, rows("Versions", "The version and revision that runs at each sensor.", "short", "No sensor yet",
                     [table(f"max by ({per}, version, revision) (whither_build_info{{{SENSOR}}})")],
                     {"sensor": "Sensor", "instance": "Instance", "version": "Version", "revision": "Revision"}, hidden=("Value",))),
        ]),
        (8, [
            (12, lines("Packets and drops", "Packets captured each second, by interface, and packets dropped by the kernel or the interface before they could be counted.",
                       "pps", "No live capture", graph(rate("capture_packets_total", per + ", interface", SENSOR), "{{sensor}} {{interface}} captured"),
                       graph(rate("capture_dropped_packets_total", per + ", interface, by", SENSOR), "{{sensor}} {{interface}} dropped by {{by}}", "B"),
                       overrides=[orange], **plain)),
            (12, lines("Not understood", "Frames that could not be charged to a device, by reason, and messages that could not be read, by protocol and reason.", "cps",
                       "All was understood", graph(rate("packets_skipped_total", "reason", SENSOR), "skipped: {{reason}}"),
                       graph(rate("malformed_messages_total", "protocol, reason", SENSOR), "{{protocol}}: {{reason}}", "B"),
                       graph(rate("input_errors_total", "protocol", SENSOR), "unreadable: {{protocol}}", "C"), **plain)),
        ]),
        (8, [
            (8, bargauge("Tables filled", "How full the sensors' bounded tables are, the fullest of each. A full table refuses newcomers: their bytes stay in the totals, under other.",
                         "percentunit", "No sensor yet", f"max by (table) (whither_table_entries{{{SENSOR}}} / whither_table_limit{{{SENSOR}}})", "{{table}}", 1,
                         steps("blue", (0.9, "orange")))),
            (8, lines("Table refusals", "Newcomers that found a table full, each second. Something on the network fills it.", "cps", "No sensor yet",
                      graph(rate("table_refused_total", per + ", table", SENSOR), "{{sensor}} {{table}}"), **plain)),
            (8, lines("Table evictions", "Entries that left a table because they were stale or to make room, each second. For flows and names that is their ordinary end.",
                      "cps", "No sensor yet", graph(rate("table_evicted_total", per + ", table", SENSOR), "{{sensor}} {{table}}"), **plain)),
        ]),
        (8, [
            (8, lines("Scrape time", "How long each scrape took.", "s", "No sensor yet", graph(f"max by ({per}) (scrape_duration_seconds{{{SENSOR}}})", who), **plain)),
            (8, lines("Series", "Series in each scrape. Their number is bounded by the tables' limits.", "short", "No sensor yet",
                      graph(f"max by ({per}) (scrape_samples_scraped{{{SENSOR}}})", who), **plain)),
            (8, lines("Conversations by QUIC's version", "Conversations that began with a QUIC long header, each second, by its version.", "cps", "None",
                      graph(rate("quic_flows_total", "version", SENSOR), "{{version}}"), **plain)),
        ]),
        (8, [
            (5, lines("Processor", "Processors kept busy by each sensor.", "percentunit", "No sensor yet",
                      graph(f"sum by ({per}) (rate(process_cpu_seconds_total{{{SENSOR}}}[$__rate_interval]))", who), **plain)),
            (5, lines("Memory", "Resident memory of each sensor.", "bytes", "No sensor yet",
                      graph(f"max by ({per}) (process_resident_memory_bytes{{{SENSOR}}})", who), **plain)),
            (5, lines("Events not written", "Events that were dropped because the log could not follow, each second.", "cps", "No sensor yet",
                      graph(rate("events_dropped_total", per, SENSOR), who), **plain)),
            (5, lines("State not written", "Attempts to write the state to the disk that failed, each second. Only of sensors that keep one.", "cps", "No sensor keeps a state",
                      graph(rate("state_write_errors_total", per, SENSOR), who), **plain)),
            (4, stat("State saved", "When each sensor that keeps a state last wrote it; one that did not change is not written.", "dateTimeFromNow",
                     "No sensor keeps a state", f"max by ({per}) (whither_state_saved_timestamp_seconds{{{SENSOR}}}) * 1000 > 0", who)),
        ]),
        (4, [(24, words("How to read this", NOTE))]),
    ])


def main():
    stale = []
    FOLDER.mkdir(exist_ok=True)
    made = {f"{one['uid']}.json": json.dumps(one, indent=2, ensure_ascii=False) + "\n" for one in (overview(), one_device(), compare(), health())}
    for path in sorted(FOLDER.glob("*.json")):
        if path.name not in made:
            stale.append(path.name)
    for name, text in made.items():
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"not as mixin.py writes them: {', '.join(stale)}; run python3 grafana/mixin.py")


if __name__ == "__main__":
    main()
