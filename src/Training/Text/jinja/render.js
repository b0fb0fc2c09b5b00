// Runs last, after @huggingface/jinja and what mends it, in the same scope. It owns the way values come in and what a template sees besides them. It knows
// no file and no host object but the clock it is given.

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
  environment.setVariable("dict", new FunctionValue(([entries]) => new ObjectValue(new Map(entries?.value ?? []))));
  for (const [name, value] of readValue(JSON.parse(json)).value) environment.setVariable(name, value);
  return new Interpreter(environment).run(template.parsed).value;
}
