// The outlines of countries, asked for once.

/** { width, height, path, name(code), locate(places) }. */
export async function world() {
  const answer = await fetch("/api/v1/outlines");
  if (!answer.ok) throw new Error(`the map is not there (${answer.status})`);
  const told = await answer.json();
  const [, , width, height] = told.view_box.split(" ").map(Number);
  const lands = new Map(told.countries.map((land) => [land.country, land]));
  const name = (code) => lands.get(code)?.name ?? code;
  /** Places with where they stand on the drawing; of what is no country none, and what has no outline stands at the edge. */
  const locate = (places) => {
    const countries = places.filter((place) => place.country.length === 2);
    const outside = countries.reduce((sum, place) => sum + place.bytes, 0);
    return countries.map((place) => ({
      ...place,
      code: place.country,
      name: place.name ?? name(place.country),
      at: lands.get(place.country)?.centre ?? [30, height - 30],
      outside,
    }));
  };
  return { width, height, path: told.countries.map((land) => land.path).join(""), name, locate };
}
