// Runs after @huggingface/jinja in the same scope. It owns what Python's Jinja does differently as transformers uses it (booleans, floats), the way
// values come in, and bounds on the few built-in functions that could do unbounded work between two statements. It knows no file and no host object
// but the clock it is given.
(function () {
  const largest = 4 * 1024 * 1024; // characters of one text
  const bound = (size) => {
    if (!(size <= largest)) throw new RangeError("a text of more than " + largest + " characters");
  };
  const repeat = String.prototype.repeat;
  String.prototype.repeat = function (count) {
    bound(this.length * count);
    return repeat.call(this, count);
  };
  const join = Array.prototype.join;
  Array.prototype.join = function (separator) {
    let size = this.length * (separator === undefined ? 1 : String(separator).length);
    bound(size);
    for (const item of this) {
      if (typeof item === "string") size += item.length;
      bound(size);
    }
    return join.call(this, separator);
  };
  const replaceAll = String.prototype.replaceAll;
  String.prototype.replaceAll = function (pattern, by) {
    let size = this.length;
    return replaceAll.call(this, pattern, (match) => {
      const text = String(by(match));
      bound((size += text.length));
      return text;
    });
  };
})();

BooleanValue.prototype.toString = function () {
  return this.value ? "True" : "False";
};
const integersToJSON = toJSON;
toJSON = function (input, options, depth, convertUndefinedToNull) {
  return input.type === "FloatValue" && Number.isFinite(input.value) ? input.toString() : integersToJSON(input, options, depth, convertUndefinedToNull);
};

// Values come as JSON in which a list is ["list", items...], an object ["map", name, value, ...] and a float ["float", number]: names keep their
// order, and 1.0 stays a float.
function readValue(input) {
  if (input === null) return new NullValue();
  switch (typeof input) {
    case "string":
      return new StringValue(input);
    case "boolean":
      return new BooleanValue(input);
    case "number":
      return new IntegerValue(input);
  }
  switch (input[0]) {
    case "float":
      return new FloatValue(input[1]);
    case "list":
      return new ArrayValue(input.slice(1).map(readValue));
    default: {
      const map = new Map();
      for (let i = 1; i < input.length; i += 2) map.set(input[i], readValue(input[i + 1]));
      return new ObjectValue(map);
    }
  }
}

let template;

function parseTemplate(source) {
  template = new Template(source);
}

function renderTemplate(json, clock) {
  const environment = new Environment();
  setupGlobals(environment);
  environment.setVariable("strftime_now", new FunctionValue((args) => new StringValue(clock(String(args[0].value)))));
  for (const [name, value] of readValue(JSON.parse(json)).value) environment.setVariable(name, value);
  return new Interpreter(environment).run(template.parsed).value;
}
