// Where the columns of a ladder stand: hosts, parties and subscribers share the width that there is.

const GAP = 16;
const FOLDED = 38;
const LANES_MIN = 2;

/** The least width of each kind of column, and the most that is of use. */
const WIDE = { axis: 98, lane: [98, 250], party: [98, 190], subscriber: [88, 190] };
const NARROW = { axis: 90, lane: [84, 160], party: [92, 150], subscriber: [74, 150] };

/** Below this many pixels columns are as narrow as can be read. */
const NARROW_BELOW = 640;

/** The lanes of the inputs in the order in which they come, each with the number of its inputs. */
function lanesOf(inputs) {
  const lanes = new Map();
  const add = (name) => lanes.set(name, (lanes.get(name) ?? 0) + 1);
  for (const { input } of inputs) {
    if (input.src && input.dst) [input.src, input.dst].forEach(add);
    else if (input.kind !== "tick") add(sourceName(input));
  }
  return lanes;
}

/** What the lane of an input without addresses is called. */
export function sourceName(input) {
  return input.source?.name || input.kind;
}

/** The subscribers, those first that were told of something. */
function subscribersOf(items) {
  const told = new Map();
  for (const { kind, delivery } of items) {
    if (kind === "delivery") told.set(delivery.subscriptionId, told.get(delivery.subscriptionId) || Boolean(delivery.matched) || delivery.attempts?.length > 0);
  }
  const ids = [...told.keys()].sort((a, b) => told.get(b) - told.get(a) || (a < b ? -1 : 1));
  return { ids, told };
}

/**
 * The columns of a call within so many pixels. `folds` says which hosts somebody has folded (true) or unfolded (false);
 * of the others those with the fewest messages are folded until all fits, and subscribers that were told nothing give
 * way before.
 */
export function columnsOf(call, items, room, { folds, allSubscribers }) {
  const least = room < NARROW_BELOW ? NARROW : WIDE;
  const counts = lanesOf(items.filter((item) => item.kind === "input"));
  const folded = new Set([...counts.keys()].filter((name) => folds.get(name) === true));
  const { ids, told } = subscribersOf(items);
  let subscribers = ids;
  const lanes = () => grouped([...counts.keys()], folded);
  const total = () => {
    const widths = lanes().reduce((sum, lane) => sum + (lane.isFolded ? FOLDED : least.lane[0]), 0);
    return least.axis + widths + call.parties.length * least.party[0] + subscribers.length * least.subscriber[0] + 3 * GAP;
  };
  if (!allSubscribers && total() > room) subscribers = ids.filter((id) => told.get(id));
  const order = [...counts.keys()].filter((name) => !folds.has(name)).sort((a, b) => counts.get(a) - counts.get(b));
  for (const name of order) {
    if (total() <= room || counts.size - folded.size <= LANES_MIN) break;
    folded.add(name);
  }
  const shown = lanes();
  const open = shown.filter((lane) => !lane.isFolded).length;
  const columns = open + call.parties.length + subscribers.length;
  const extra = Math.max(0, room - total());
  const share = columns ? extra / columns : 0;
  const within = ([min, max]) => Math.floor(Math.min(min + share, max));
  const [party, subscriber] = [within(least.party), within(least.subscriber)];
  const rest = room - least.axis - 3 * GAP - party * call.parties.length - subscriber * subscribers.length - FOLDED * (shown.length - open);
  // What nobody else has use for goes to the hosts, where the long texts are.
  const lane = open ? Math.max(least.lane[0], Math.floor(rest / open)) : 0;
  let x = 0;
  for (const one of shown) {
    one.width = one.isFolded ? FOLDED : lane;
    one.x = x + one.width / 2;
    x += one.width;
  }
  const parties = { begin: x + GAP, width: party, x: new Map() };
  call.parties.forEach(({ id }, index) => parties.x.set(id, parties.begin + index * party + 12));
  const told_from = parties.begin + call.parties.length * party + GAP;
  const subscribersAt = { begin: told_from, width: subscriber, ids: subscribers, x: new Map(), hidden: ids.length - subscribers.length };
  subscribers.forEach((id, index) => subscribersAt.x.set(id, told_from + index * subscriber + 14));
  const laneOf = new Map(shown.flatMap((one) => one.names.map((name) => [name, one])));
  return { axis: least.axis, lanes: shown, laneOf, parties, subscribers: subscribersAt, width: Math.ceil(told_from + subscribers.length * subscriber + GAP) };
}

/** The lanes as they are shown: folded ones that stand side by side become one. */
function grouped(names, folded) {
  const lanes = [];
  for (const name of names) {
    const isFolded = folded.has(name);
    if (isFolded && lanes.at(-1)?.isFolded) lanes.at(-1).names.push(name);
    else lanes.push({ names: [name], isFolded });
  }
  return lanes;
}
