// Tables as files for spreadsheets (RFC 4180).

/** What lets a spreadsheet take a cell for a formula. */
const FORMULA = /^[\s\u0000-\u001f\ufeff]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/;

/** One cell: what would be a formula begins with an apostrophe, and is shown as it is then. */
export function cell(value) {
  const text = String(value ?? "").replace(/\u0000/g, "");
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n'\t;]/.test(safe) || safe !== safe.trim() ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** A table with its header. */
export function csv(header, rows) {
  return [header, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}
