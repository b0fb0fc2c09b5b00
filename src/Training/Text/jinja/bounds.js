// Runs after @huggingface/jinja in the same scope, before any template: bounds on the built-in functions that could do unbounded work between two
// statements, where nothing else looks. Python's sandbox has the bound on range().

const largestText = 4 * 1024 * 1024; // characters
const largestList = 1000000;
const largestRange = 100000;
const largestSearch = 1e9; // characters of the text times those of what is looked for

function bound(size) {
  if (!(size <= largestText)) throw new RangeError(`a text of more than ${largestText} characters`);
}

function boundedText(text) {
  bound(text.length);
  return text;
}

function boundList(size) {
  if (!(size <= largestList)) throw new RangeError(`a list of more than ${largestList} items`);
}

(function () {
  const { repeat, padStart, padEnd } = String.prototype;
  const { join, concat } = Array.prototype;
  String.prototype.repeat = function (count) {
    bound(this.length * count);
    return repeat.call(this, count);
  };
  String.prototype.padStart = function (width, fill) {
    bound(Number(width));
    return padStart.call(this, width, fill);
  };
  String.prototype.padEnd = function (width, fill) {
    bound(Number(width));
    return padEnd.call(this, width, fill);
  };
  for (const name of ["includes", "indexOf", "lastIndexOf", "split"]) {
    const search = String.prototype[name];
    String.prototype[name] = function (part) {
      if (typeof part === "string" && !(this.length * part.length <= largestSearch))
        throw new RangeError(`a search for ${part.length} characters in ${this.length}, a product of more than ${largestSearch}`);
      return search.call(this, part);
    };
  }
  Array.prototype.join = function (separator) {
    let size = this.length * (separator === undefined ? 1 : String(separator).length);
    bound(size);
    for (const item of this) {
      if (typeof item === "string") size += item.length;
      bound(size);
    }
    return join.call(this, separator);
  };
  Array.prototype.concat = function (other) {
    boundList(this.length + other.length);
    return concat.call(this, other);
  };
  const from = Array.from;
  Array.from = function (items, map) {
    boundList(items.length ?? items.size ?? 0);
    return from.call(Array, items, map);
  };
  const libraryRange = range;
  range = function (start, stop, step = 1) {
    const [from, to] = stop === undefined ? [0, start] : [start, stop];
    if (![from, to, step].every(Number.isInteger)) throw new Error("range() takes whole numbers");
    if ((to - from) / step > largestRange) throw new RangeError(`a range() of more than ${largestRange} items`);
    return libraryRange(start, stop, step);
  };
})();
