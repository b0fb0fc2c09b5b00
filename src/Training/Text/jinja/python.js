// Runs after @huggingface/jinja and python-values.js in the same scope and brings the interpreter closer to Python's Jinja as transformers runs it
// (trim_blocks, lstrip_blocks, loop controls, an immutable sandbox): scopes, operators, what an undefined value may do, filters, tests with arguments,
// {% raw %}. Where Python raises, this throws; a filter or test that is absent here throws by name.

// --- evaluation ---

Environment.prototype.lookupVariable = function (name) {
  for (let scope = this; scope; scope = scope.parent) if (scope.variables.has(name)) return scope.variables.get(name);
  return new UndefinedValue();
};

// What a block wrote before a break or continue stays.
Interpreter.prototype.evaluateBlock = function (statements, environment) {
  let result = "";
  for (const statement of statements) {
    try {
      const value = this.evaluate(statement, environment);
      if (statement instanceof Expression || (value.type !== "NullValue" && value.type !== "UndefinedValue")) result = boundedText(result + pythonText(value));
    } catch (problem) {
      if (problem instanceof BreakControl || problem instanceof ContinueControl) problem.written = result + (problem.written ?? "");
      throw problem;
    }
  }
  return new StringValue(result);
};

function bindLoop(target, item, scope) {
  if (target.type === "Identifier") {
    scope.setVariable(target.value, item);
    return;
  }
  const parts = itemsOf(item);
  if (parts.length !== target.value.length) throw new Error(`Too ${target.value.length > parts.length ? "few" : "many"} items to unpack`);
  target.value.forEach((name, i) => bindLoop(name, parts[i], scope));
}

// Each turn has a scope of its own: what it sets is gone in the next.
Interpreter.prototype.evaluateFor = function (node, environment) {
  const select = node.iterable.type === "SelectExpression" ? node.iterable : null;
  let items = itemsOf(this.evaluate(select ? select.lhs : node.iterable, environment));
  if (select)
    items = items.filter((item) => {
      const scope = new Environment(environment);
      bindLoop(node.loopvar, item, scope);
      return this.evaluate(select.test, scope).__bool__().value;
    });
  if (items.length === 0) return this.evaluateBlock(node.defaultBlock, environment);
  let [result, last] = ["", null];
  for (let i = 0; i < items.length; ++i) {
    const scope = new Environment(environment);
    scope.setVariable(
      "loop",
      new ObjectValue(
        new Map([
          ["index", new IntegerValue(i + 1)],
          ["index0", new IntegerValue(i)],
          ["revindex", new IntegerValue(items.length - i)],
          ["revindex0", new IntegerValue(items.length - i - 1)],
          ["first", new BooleanValue(i === 0)],
          ["last", new BooleanValue(i === items.length - 1)],
          ["length", new IntegerValue(items.length)],
          ["previtem", i > 0 ? items[i - 1] : new UndefinedValue()],
          ["nextitem", i < items.length - 1 ? items[i + 1] : new UndefinedValue()],
          ["cycle", new FunctionValue((args) => args[i % args.length])],
          [
            "changed",
            new FunctionValue((args) => {
              const now = new TupleValue(args);
              const changed = last === null || !equal(last, now);
              last = now;
              return new BooleanValue(changed);
            }),
          ],
        ]),
      ),
    );
    bindLoop(node.loopvar, items[i], scope);
    try {
      result = boundedText(result + this.evaluateBlock(node.body, scope).value);
    } catch (control) {
      if (!(control instanceof BreakControl || control instanceof ContinueControl)) throw control;
      result += control.written ?? "";
      if (control instanceof BreakControl) break;
    }
  }
  return new StringValue(result);
};

// A macro sees where it was defined, not where it is called.
Interpreter.prototype.evaluateMacro = function (node, environment) {
  const special = findAccessedSpecialMacroArguments(node.args, node.body);
  const call = (args, calledFrom) => {
    const scope = new Environment(environment);
    const caller = calledFrom?.variables.get("caller");
    if (caller) scope.setVariable("caller", caller);
    this.bindMacroArguments(`'${node.name.value}'`, node.args, special, args, scope);
    return this.evaluateBlock(node.body, scope);
  };
  environment.setVariable(node.name.value, new FunctionValue(call));
  return new NullValue();
};

const dictMethods = ["get", "items", "keys", "values"];

// After a dot the methods come first, in brackets the entries, as Python's attributes and items.
Interpreter.prototype.evaluateMemberExpression = function (node, environment) {
  const object = this.evaluate(node.object, environment);
  if (object instanceof UndefinedValue) throw new Error(`'${node.object.property?.value ?? node.object.value ?? "value"}' is undefined`);
  if (node.computed && node.property.type === "SliceExpression") return this.evaluateSliceExpression(object, node.property, environment);
  const property = node.computed ? this.evaluate(node.property, environment) : convertToRuntimeValues(node.property.value);
  const name = property instanceof StringValue ? property.value : null;
  let value;
  if (object instanceof ObjectValue) {
    const method = () => (name === "copy" ? new FunctionValue(() => new ObjectValue(new Map(object.value))) : dictMethods.includes(name) ? object.builtins.get(name) : undefined);
    value = node.computed ? (object.value.get(name) ?? method()) : (method() ?? object.value.get(name));
  } else if (object instanceof NamespaceValue) value = object.value.get(name);
  else if (isNumericLikeValue(property) && object instanceof ArrayValue) value = object.value.at(getNumericValue(property));
  else if (isNumericLikeValue(property) && object instanceof StringValue) {
    const character = Array.from(object.value).at(getNumericValue(property));
    value = character === undefined ? undefined : new StringValue(character);
  } else if (object instanceof StringValue && name !== null) value = textMethod(object.value, name);
  else if (object instanceof ArrayValue && name !== null) value = listMethod(object, name);
  return value instanceof RuntimeValue ? value : new UndefinedValue();
};

function formatted(text, args) {
  let next = 0;
  return text.replace(/%(-?)(0?)(\d{0,4})(?:\.(\d{1,2}))?([sdifrxX%])/g, (_, left, zero, width, precision, kind) => {
    if (kind === "%") return "%";
    if (next >= args.length) throw new Error("not enough arguments for format string");
    const value = args[next++];
    if (kind !== "s" && kind !== "r" && !isNumericLikeValue(value)) throw new Error(`%${kind} takes a number, not ${value.type}`);
    let piece =
      kind === "s" ? pythonText(value)
      : kind === "r" ? pythonRepr(value)
      : kind === "f" ? getNumericValue(value).toFixed(precision ? Number(precision) : 6)
      : kind === "d" || kind === "i" ? String(Math.trunc(getNumericValue(value)))
      : getNumericValue(value).toString(16);
    if (kind === "X") piece = piece.toUpperCase();
    if (kind === "s" && precision) piece = piece.slice(0, Number(precision));
    return left ? piece.padEnd(Number(width)) : piece.padStart(Number(width), zero && kind !== "s" ? "0" : " ");
  });
}

function compare(left, right) {
  if (isNumericLikeValue(left) && isNumericLikeValue(right)) return getNumericValue(left) - getNumericValue(right);
  if (left instanceof StringValue && right instanceof StringValue) return left.value < right.value ? -1 : left.value > right.value ? 1 : 0;
  throw new Error(`${left.type} and ${right.type} have no order`);
}

function arithmetic(operator, left, right) {
  const [a, b] = [getNumericValue(left), getNumericValue(right)];
  if ((operator === "/" || operator === "//" || operator === "%") && b === 0) throw new Error("division by zero");
  let result;
  switch (operator) {
    case "+": result = a + b; break;
    case "-": result = a - b; break;
    case "*": result = a * b; break;
    case "/": result = a / b; break;
    case "//": result = Math.floor(a / b); break;
    case "%": result = a - b * Math.floor(a / b); break;
    case "**":
      if (a === 0 && b < 0) throw new Error("0.0 cannot be raised to a negative power");
      result = a ** b;
      break;
    default: throw new Error(`Unknown operator ${operator}`);
  }
  if (!Number.isFinite(result)) throw new Error(`The result of ${operator} is not a finite number`);
  const isFloat = left instanceof FloatValue || right instanceof FloatValue || operator === "/" || (operator === "**" && b < 0);
  return isFloat ? new FloatValue(result) : new IntegerValue(result);
}

function repeated(value, count) {
  if (value instanceof StringValue) return new StringValue(value.value.repeat(Math.max(count, 0)));
  boundList(value.value.length * count);
  let result = [];
  for (let i = 0; i < count; i++) result = result.concat(value.value);
  return new ArrayValue(result);
}

Interpreter.prototype.evaluateBinaryExpression = function (node, environment) {
  const operator = node.operator.value;
  const left = this.evaluate(node.left, environment);
  if (operator === "and") return left.__bool__().value ? this.evaluate(node.right, environment) : left;
  if (operator === "or") return left.__bool__().value ? left : this.evaluate(node.right, environment);
  const right = this.evaluate(node.right, environment);
  switch (operator) {
    case "==": return new BooleanValue(equal(left, right));
    case "!=": return new BooleanValue(!equal(left, right));
    case "in": return new BooleanValue(contains(right, left));
    case "not in": return new BooleanValue(!contains(right, left));
    case "~": return new StringValue(boundedText(pythonText(left) + pythonText(right)));
    case "<": return new BooleanValue(compare(left, right) < 0);
    case ">": return new BooleanValue(compare(left, right) > 0);
    case "<=": return new BooleanValue(compare(left, right) <= 0);
    case ">=": return new BooleanValue(compare(left, right) >= 0);
  }
  if (operator === "+" && left instanceof StringValue && right instanceof StringValue) return new StringValue(boundedText(left.value + right.value));
  if (operator === "+" && left instanceof ArrayValue && left.type === right.type) return new left.constructor(left.value.concat(right.value));
  if (isNumericLikeValue(left) && isNumericLikeValue(right)) return arithmetic(operator, left, right);
  if (operator === "*" && (left instanceof StringValue || left instanceof ArrayValue) && right instanceof IntegerValue) return repeated(left, right.value);
  if (operator === "*" && (right instanceof StringValue || right instanceof ArrayValue) && left instanceof IntegerValue) return repeated(right, left.value);
  if (operator === "%" && left instanceof StringValue) return new StringValue(formatted(left.value, right instanceof TupleValue ? right.value : [right]));
  throw new Error(`'${operator}' is not defined between ${left.type} and ${right.type}`);
};

// --- filters and tests ---

const best = (value, sign) => itemsOf(value).reduce((most, item) => (most === null || sign * compare(item, most) > 0 ? item : most), null) ?? new UndefinedValue();
const filters = new Map(
  Object.entries({
    default: (value, [otherwise, falsy], named) =>
      value instanceof UndefinedValue || ((falsy ?? named.get("boolean"))?.value && !value.__bool__().value) ? (otherwise ?? named.get("default_value") ?? new StringValue("")) : value,
    length: (value) => new IntegerValue(lengthOf(value)),
    list: (value) => new ArrayValue(itemsOf(value).slice()),
    string: (value) => new StringValue(pythonText(value)),
    first: (value) => itemsOf(value).at(0) ?? new UndefinedValue(),
    last: (value) => itemsOf(value).at(-1) ?? new UndefinedValue(),
    reverse: (value) => (value instanceof StringValue ? new StringValue(Array.from(value.value).reverse().join("")) : new ArrayValue(itemsOf(value).slice().reverse())),
    join(value, [separator, attribute], named) {
      const path = (attribute ?? named.get("attribute"))?.value;
      const texts = itemsOf(value).map((item) => pythonText(path === undefined ? item : getAttributeValue(item, String(path))));
      return new StringValue(texts.join(pythonText(separator ?? named.get("d") ?? named.get("separator") ?? new StringValue(""))));
    },
    trim: (value, [characters], named) => new StringValue(strip(pythonText(value), plain(characters ?? named.get("chars") ?? new UndefinedValue()), true, true)),
    sum: (value, [attribute, start], named) => {
      const path = (attribute ?? named.get("attribute"))?.value;
      return itemsOf(value).reduce((total, item) => arithmetic("+", total, path === undefined ? item : getAttributeValue(item, String(path))), start ?? named.get("start") ?? new IntegerValue(0));
    },
    min: (value) => best(value, -1),
    max: (value) => best(value, 1),
    round: (value, [digits], named) => {
      const scale = 10 ** ((digits ?? named.get("precision"))?.value ?? 0);
      const [scaled, low] = [value.value * scale, Math.floor(value.value * scale)];
      const even = scaled - low === 0.5 ? low + (low % 2) : Math.round(scaled);
      return new FloatValue(even / scale);
    },
    escape: (value) => new StringValue(pythonText(value).replace(/[&<>"']/g, (c) => "&" + { "&": "amp", "<": "lt", ">": "gt", '"': "#34", "'": "#39" }[c] + ";")),
    wordcount: (value) => new IntegerValue(split(pythonText(value)).length),
    format: (value, args) => new StringValue(formatted(pythonText(value), args)),
    replace: (value, [old, by, count], named) => new StringValue(replace(pythonText(value), pythonText(old), pythonText(by), (count ?? named.get("count"))?.value)),
  }),
);
for (const name of ["upper", "lower", "title", "capitalize"]) filters.set(name, (value) => new StringValue(textMethods.get(name)(pythonText(value))));
filters.set("d", filters.get("default")).set("count", filters.get("length")).set("e", filters.get("escape"));

const testNamed = (name) => {
  const test = Environment.TESTS.get(name);
  if (!test) throw new Error(`Unknown test: ${name}`);
  return test;
};

// {{ x is divisibleby(3) }}: the library's parser knows tests without arguments alone, so that these go through it as filters of a name that none has.
const libraryTokens = tokenize;
tokenize = function (source, options) {
  const tokens = libraryTokens(source, options);
  const isWord = (token, word) => token?.type === TOKEN_TYPES.Identifier && token.value === word;
  const result = [];
  for (let i = 0; i < tokens.length; i++) {
    const negated = isWord(tokens[i], "is") && isWord(tokens[i + 1], "not");
    const [name, next] = [tokens[i + (negated ? 2 : 1)], tokens[i + (negated ? 3 : 2)]];
    const literal = next?.type === TOKEN_TYPES.StringLiteral || next?.type === TOKEN_TYPES.NumericLiteral;
    if (!isWord(tokens[i], "is") || name?.type !== TOKEN_TYPES.Identifier || !(literal || next?.type === TOKEN_TYPES.OpenParen)) {
      result.push(tokens[i]);
      continue;
    }
    result.push(new Token("|", TOKEN_TYPES.Pipe), new Token(`is ${negated ? "not " : ""}${name.value}`, TOKEN_TYPES.Identifier));
    if (literal) result.push(new Token("(", TOKEN_TYPES.OpenParen), next, new Token(")", TOKEN_TYPES.CloseParen));
    i += (negated ? 2 : 1) + (literal ? 1 : 0);
  }
  return result;
};

const libraryFilter = Interpreter.prototype.applyFilter;
Interpreter.prototype.applyFilter = function (value, node, environment) {
  const called = node.type === "CallExpression";
  const name = (called ? node.callee : node).value;
  const nodes = called ? node.args : [];
  const evaluated = () => (called ? this.evaluateArguments(nodes, environment) : [[], new Map()]);
  if (typeof name === "string" && name.startsWith("is ")) {
    const negated = name.startsWith("is not ");
    return new BooleanValue(Boolean(testNamed(name.slice(negated ? 7 : 3))(value, ...evaluated()[0])) !== negated);
  }
  if (name === "select" || name === "reject" || name === "selectattr" || name === "rejectattr") {
    const [args] = evaluated();
    const path = name.endsWith("attr") ? pythonText(args.shift()) : null;
    const test = args.length > 0 ? testNamed(args.shift().value) : (item) => item.__bool__().value;
    return new ArrayValue(itemsOf(value).filter((item) => Boolean(test(path === null ? item : getAttributeValue(item, path), ...args)) === name.startsWith("select")));
  }
  if (name === "map" && nodes.length > 0 && nodes[0].type !== "KeywordArgumentExpression") {
    const filter = new CallExpression(new Identifier(this.evaluate(nodes[0], environment).value), nodes.slice(1));
    return new ArrayValue(itemsOf(value).map((item) => this.applyFilter(item, filter, environment)));
  }
  const filter = filters.get(name);
  if (!filter) return libraryFilter.call(this, value, node, environment);
  return filter(value, ...evaluated());
};

const iterable = (value) => value instanceof ArrayValue || value instanceof StringValue || value instanceof ObjectValue;
for (const [name, test] of Object.entries({
  eq: equal, equalto: equal,
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0, lessthan: (a, b) => compare(a, b) < 0, le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0, greaterthan: (a, b) => compare(a, b) > 0, ge: (a, b) => compare(a, b) >= 0,
  in: (a, b) => contains(b, a),
  sameas: (a, b) => a === b || (a.type === b.type && !(a instanceof ArrayValue || a instanceof ObjectValue) && equal(a, b)),
  divisibleby: (a, b) => arithmetic("%", a, b).value === 0,
  float: (value) => value instanceof FloatValue,
  iterable, sequence: iterable,
})) Environment.TESTS.set(name, test);

// --- {% generation %} and {% raw %} ---

// As the library's, without its regular expression for {% generation %}, which takes quadratic time on white space.
preprocess = function (source, options) {
  let text = source.endsWith("\n") ? source.slice(0, -1) : source;
  if (options.lstrip_blocks) text = text.replace(/^[ \t]*({[#%](?!\+))/gm, "$1");
  if (options.trim_blocks) text = text.replace(/([#%]})\n/g, "$1");
  text = cut(text.replace(/{%\+/g, "{%"), /{%(-?)\s*(?:end)?generation\s*(-?)%}/g, () => "");
  return cut(text, /{%(-?)\s*raw\s*-?%}([^]*?){%-?\s*endraw\s*(-?)%}/g, (found) => {
    const inside = (/^{%-?\s*raw\s*-%}/.test(found[0]) ? found[2].trimStart() : found[2]).replace(/[\\"\n\r]/g, (c) => ({ "\n": "\\n", "\r": "\\r" })[c] ?? "\\" + c);
    return inside === "" ? "" : `{{ "${inside}" }}`;
  });
};

function cut(text, pattern, by) {
  let [result, end, stripped] = ["", 0, false];
  const add = (piece) => (result += stripped ? piece.trimStart() : piece);
  for (const found of text.matchAll(pattern)) {
    const before = text.slice(end, found.index);
    add(found[1] ? before.trimEnd() : before);
    result += by(found);
    [end, stripped] = [found.index + found[0].length, Boolean(found[found.length - 1])];
  }
  add(text.slice(end));
  return result;
}
