using System.Text.Json;

namespace Gradus.Training.Model;

/// <summary>
/// The fields of a config.json, read one by one, each with its bounds. It remembers which were asked for, so that the rest can be looked through at the end
/// (<see cref="UnknownFields"/>).
/// </summary>
/// <param name="name">What errors call the object.</param>
internal sealed class ConfigFields(JsonElement json, string name)
{
    private readonly HashSet<string> asked = [];

    /// <summary>Fields that nobody asked for.</summary>
    public IEnumerable<JsonProperty> Rest => json.EnumerateObject().Where(property => !asked.Contains(property.Name));

    public int Integer(string field, int? absent, int low, int high)
    {
        var value = Number(field) ?? absent ?? throw new InvalidInputException($"{name} has no {field}.", field, "missing");
        if (value < low || value > high || value != Math.Floor(value)) throw new InvalidInputException($"{field} must be a whole number from {low} to {high}, not {value}.", field, "out_of_range");
        return (int)value;
    }

    public double Real(string field, double? absent, double low, double high)
    {
        var value = Number(field) ?? absent ?? throw new InvalidInputException($"{name} has no {field}.", field, "missing");
        if (!(value >= low && value <= high)) throw new InvalidInputException($"{field} must be from {low} to {high}, not {value}.", field, "out_of_range");
        return value;
    }

    public double? Number(string field) => Find(field, JsonValueKind.Number)?.GetDouble();

    public string? Text(string field) => Find(field, JsonValueKind.String)?.GetString();

    public bool? Flag(string field) => Find(field, JsonValueKind.True, JsonValueKind.False)?.GetBoolean();

    public JsonElement? Object(string field) => Find(field, JsonValueKind.Object);

    public JsonElement? List(string field) => Find(field, JsonValueKind.Array);

    /// <summary>Any value; null where it is absent or null.</summary>
    public JsonElement? Any(string field)
    {
        asked.Add(field);
        return json.TryGetProperty(field, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>Whether a field is there, even as null.</summary>
    public bool Has(string field)
    {
        asked.Add(field);
        return json.TryGetProperty(field, out _);
    }

    /// <summary>Refuses a text other than the only one that is supported.</summary>
    public void Only(string field, string only)
    {
        if (Text(field) is { } value && value != only) throw Unsupported(field, value, only);
    }

    /// <summary>Refuses a number other than the only one that is supported.</summary>
    public void Only(string field, double only)
    {
        if (Number(field) is { } value && value != only) throw Unsupported(field, $"{value}", $"{only}");
    }

    /// <summary>Refuses true.</summary>
    public void NotTrue(string field)
    {
        if (Flag(field) == true) throw Unsupported(field, "true", "false");
    }

    public InvalidInputException Unsupported(string field, string value, string allowed) =>
        new($"config.json asks for {(name == "config.json" ? "" : name + ".")}{field} '{value}', which is not supported; supported: {allowed}.", field, "unknown_value");

    public static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };

    private JsonElement? Find(string field, params ReadOnlySpan<JsonValueKind> kinds)
    {
        if (Any(field) is not { } value) return null;
        return kinds.Contains(value.ValueKind) ? value : throw new InvalidInputException($"{field} must not be {Kind(value)}.", field);
    }
}
