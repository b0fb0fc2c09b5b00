// Runs after @huggingface/jinja in the same scope: str(), repr(), ==, `in` and the methods of str and list as Python has them. Where Python raises, this
// throws; a method that is absent here is undefined, and calling it throws.

// --- text and equality ---

function pythonFloat(number) {
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) return number.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Object.is(number, -0) ? "-0.0" : number % 1 === 0 ? number.toFixed(1) : String(number);
}

const escapes = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"], ["\\", "\\\\"]]);

function pythonRepr(value) {
  if (!(value instanceof StringValue)) return pythonText(value);
  const quote = value.value.includes("'") && !value.value.includes('"') ? '"' : "'";
  const text = value.value.replace(/[\x00-\x1f\\\x7f]/g, (c) => escapes.get(c) ?? "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"));
  return quote + (quote === "'" ? replace(text, "'", "\\'") : text) + quote;
}

function pythonText(value) {
  if (value instanceof StringValue) return value.value;
  if (value instanceof TupleValue) return value.value.length === 1 ? "(" + pythonRepr(value.value[0]) + ",)" : "(" + value.value.map(pythonRepr).join(", ") + ")";
  if (value instanceof ArrayValue) return "[" + value.value.map(pythonRepr).join(", ") + "]";
  if (value instanceof ObjectValue || value instanceof NamespaceValue)
    return "{" + Array.from(value.value, ([name, item]) => pythonRepr(new StringValue(name)) + ": " + pythonRepr(item)).join(", ") + "}";
  if (value instanceof FloatValue) return pythonFloat(value.value);
  if (value instanceof BooleanValue) return value.value ? "True" : "False";
  if (value instanceof NullValue) return "None";
  if (value instanceof UndefinedValue) return "";
  return value instanceof FunctionValue ? "<function>" : String(value.value);
}

const libraryJSON = toJSON;
toJSON = function (input, options, depth, convertUndefinedToNull) {
  return input.type === "FloatValue" ? pythonFloat(input.value) : libraryJSON(input, options, depth, convertUndefinedToNull);
};

function equal(left, right) {
  if (isNumericLikeValue(left) && isNumericLikeValue(right)) return getNumericValue(left) === getNumericValue(right);
  if (left.type !== right.type) return false;
  if (left instanceof NullValue || left instanceof UndefinedValue) return true;
  if (left instanceof StringValue) return left.value === right.value;
  if (left instanceof ArrayValue) return left.value.length === right.value.length && left.value.every((item, i) => equal(item, right.value[i]));
  if (left instanceof ObjectValue) {
    if (left.value.size !== right.value.size) return false;
    for (const [name, item] of left.value) if (!right.value.has(name) || !equal(item, right.value.get(name))) return false;
    return true;
  }
  return left === right;
}

function itemsOf(value) {
  if (value instanceof ArrayValue) return value.value;
  if (value instanceof StringValue) return Array.from(value.value, (character) => new StringValue(character));
  if (value instanceof ObjectValue) return value.keys().value;
  if (value instanceof UndefinedValue) return [];
  throw new Error(`${value.type} cannot be iterated`);
}

function contains(container, item) {
  if (container instanceof StringValue) {
    if (!(item instanceof StringValue)) throw new Error(`only a text can be in a text, not ${item.type}`);
    return container.value.includes(item.value);
  }
  if (container instanceof ObjectValue) return item instanceof StringValue && container.value.has(item.value);
  return itemsOf(container).some((other) => equal(other, item));
}

function lengthOf(value) {
  if (value instanceof StringValue) return codePoints(value.value);
  if (value instanceof ObjectValue) return value.value.size;
  return itemsOf(value).length;
}

// Python counts code points; most texts have no surrogates, and then that is the length.
const codePoints = (text) => (/[\ud800-\udbff]/.test(text) ? Array.from(text).length : text.length);

// --- methods ---

function strip(text, characters, left, right) {
  if (characters === undefined) return left && right ? text.trim() : left ? text.trimStart() : text.trimEnd();
  let [from, to] = [0, text.length];
  while (left && from < to && characters.includes(text[from])) from++;
  while (right && to > from && characters.includes(text[to - 1])) to--;
  return text.slice(from, to);
}

replace = function (text, old, by, count) {
  const parts = old === "" ? ["", ...Array.from(text), ""] : text.split(old);
  const most = count === undefined || count === null || count < 0 ? Infinity : count;
  if (parts.length - 1 <= most) return parts.join(by);
  return parts.slice(0, most + 1).join(by) + old + parts.slice(most + 1).join(old);
};

function split(text, separator, most, fromEnd) {
  const limit = most === undefined || most < 0 ? Infinity : most;
  const parts = separator === undefined ? text.trim().split(/\s+/).filter((part) => part !== "") : text.split(separator);
  if (separator === "") throw new Error("empty separator");
  if (parts.length - 1 <= limit) return parts;
  if (separator !== undefined)
    return fromEnd
      ? [parts.slice(0, parts.length - limit).join(separator), ...parts.slice(parts.length - limit)]
      : [...parts.slice(0, limit), parts.slice(limit).join(separator)];
  // Between words any white space stands: what is not split keeps its own.
  let rest = fromEnd ? text.trimEnd() : text.trimStart();
  for (let i = 0; i < limit; i++) rest = fromEnd ? rest.slice(0, -parts[parts.length - 1 - i].length).trimEnd() : rest.slice(parts[i].length).trimStart();
  return fromEnd ? [rest, ...parts.slice(parts.length - limit)] : [...parts.slice(0, limit), rest];
}

function partition(text, separator, at) {
  if (at < 0) return null;
  return [text.slice(0, at), separator, text.slice(at + separator.length)];
}

const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
const matches = (pattern) => (text) => pattern.test(text);
const textMethods = new Map(
  Object.entries({
    upper: (text) => text.toUpperCase(),
    lower: (text) => text.toLowerCase(),
    casefold: (text) => text.toLowerCase(),
    capitalize: capitalized,
    title: (text) => text.replace(/\p{L}+/gu, capitalized),
    strip: (text, characters) => strip(text, characters, true, true),
    lstrip: (text, characters) => strip(text, characters, true, false),
    rstrip: (text, characters) => strip(text, characters, false, true),
    startswith: (text, starts) => (Array.isArray(starts) ? starts : [starts]).some((start) => text.startsWith(start)),
    endswith: (text, ends) => (Array.isArray(ends) ? ends : [ends]).some((end) => text.endsWith(end)),
    removeprefix: (text, start) => (text.startsWith(start) ? text.slice(start.length) : text),
    removesuffix: (text, end) => (end !== "" && text.endsWith(end) ? text.slice(0, -end.length) : text),
    split: (text, separator, most) => split(text, separator, most, false),
    rsplit: (text, separator, most) => split(text, separator, most, true),
    splitlines: (text, keep) => (text.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? []).map((line) => (keep ? line : line.replace(/\r?\n$|\r$/, ""))),
    partition: (text, separator) => partition(text, separator, text.indexOf(separator)) ?? [text, "", ""],
    rpartition: (text, separator) => partition(text, separator, text.lastIndexOf(separator)) ?? ["", "", text],
    replace: (text, old, by, count) => replace(text, old, by, count),
    join: (text, parts) => parts.join(text),
    find: (text, part) => text.indexOf(part),
    rfind: (text, part) => text.lastIndexOf(part),
    index: (text, part) => found(text.indexOf(part)),
    rindex: (text, part) => found(text.lastIndexOf(part)),
    count: (text, part) => (part === "" ? codePoints(text) + 1 : text.split(part).length - 1),
    isdigit: matches(/^\p{Nd}+$/u),
    isnumeric: matches(/^\p{N}+$/u),
    isalpha: matches(/^\p{L}+$/u),
    isalnum: matches(/^[\p{L}\p{N}]+$/u),
    isspace: matches(/^\s+$/),
    isupper: (text) => text !== text.toLowerCase() && text === text.toUpperCase(),
    islower: (text) => text !== text.toUpperCase() && text === text.toLowerCase(),
    zfill: (text, width) => (/^[+-]/.test(text) ? text[0] + text.slice(1).padStart(width - 1, "0") : text.padStart(width, "0")),
    ljust: (text, width, fill) => text.padEnd(width, fill ?? " "),
    rjust: (text, width, fill) => text.padStart(width, fill ?? " "),
  }),
);
const keywordOrder = { split: ["sep", "maxsplit"], rsplit: ["sep", "maxsplit"], splitlines: ["keepends"], replace: ["old", "new", "count"] };

function found(at) {
  if (at < 0) throw new Error("substring not found");
  return at;
}

function plain(value) {
  if (value instanceof NullValue || value instanceof UndefinedValue) return undefined;
  if (value instanceof ArrayValue) return value.value.map(plain);
  if (value instanceof ObjectValue || value instanceof FunctionValue || value instanceof NamespaceValue) throw new Error(`${value.type} cannot be an argument here`);
  return value.value;
}

function textMethod(text, name) {
  const method = textMethods.get(name);
  if (!method) return undefined;
  return new FunctionValue((args) => {
    const positional = args.filter((arg) => !(arg instanceof KeywordArgumentsValue));
    const named = args.find((arg) => arg instanceof KeywordArgumentsValue);
    const values = positional.map(plain);
    if (named) for (const [key, value] of named.value) {
      const at = (keywordOrder[name] ?? []).indexOf(key);
      if (at < 0) throw new Error(`${name}() takes no argument '${key}'`);
      values[at] = plain(value);
    }
    if (name === "join" && !(Array.isArray(values[0]) && values[0].every((part) => typeof part === "string"))) throw new Error("join() takes a list of texts");
    const needsText = ["startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "find", "rfind", "index", "rindex", "count", "replace"].includes(name);
    if (needsText && ![values[0]].flat().every((part) => typeof part === "string")) throw new Error(`${name}() takes a text`);
    if (name === "replace" && typeof values[1] !== "string") throw new Error("replace() takes two texts");
    return convertToRuntimeValues(method(text, ...values));
  });
}

function listMethod(list, name) {
  if (name === "count") return new FunctionValue(([item]) => new IntegerValue(list.value.filter((other) => equal(other, item)).length));
  if (name === "index") return new FunctionValue(([item]) => new IntegerValue(found(list.value.findIndex((other) => equal(other, item)))));
  if (name === "copy") return new FunctionValue(() => new ArrayValue(list.value.slice()));
  return undefined;
}
