using System.Text.Json;

namespace Gradus.Training.Stages;

/// <summary>
/// Reads one JSON object field by field, each with its bounds, and refuses at the end what nobody asked for. Every refusal says where, what is
/// allowed and what came. A field that is null counts as left out.
/// </summary>
internal sealed class OptionReader
{
    private readonly Dictionary<string, JsonElement> fields = [];
    private readonly List<string> known = [];

    public OptionReader(JsonElement element, string path)
    {
        Path = path;
        if (element.ValueKind != JsonValueKind.Object) throw Invalid(path, $"{Where(path)} must be an object, not {Shown(element)}.");
        foreach (var field in element.EnumerateObject())
        {
            if (!fields.TryAdd(field.Name, field.Value)) throw Invalid(At(field.Name), $"{Where(At(field.Name))} is given twice.");
        }
    }

    public string Path { get; }

    /// <summary>Every model and dataset that was read, in order.</summary>
    public List<StageReference> References { get; private init; } = [];

    /// <summary>The fields that were asked for so far.</summary>
    public IEnumerable<string> Known => known;

    public string At(string name) => Path.Length == 0 ? name : $"{Path}.{name}";

    public bool Has(string name) => Find(name) is not null;

    public int Integer(string name, int? otherwise, int low, int high)
    {
        if (Find(name) is not { } value) return otherwise ?? throw Missing(name, $"a whole number from {low} to {high}");
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var number) || number < low || number > high)
            throw OutOfRange(name, $"a whole number from {low} to {high}", value);
        return number;
    }

    /// <summary>An item of a list.</summary>
    public static int IntegerOf(JsonElement value, string path, int low, int high) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= low && number <= high
        ? number : throw new InvalidInputException($"'{path}' must be a whole number from {low} to {high}, not {Shown(value)}.", path, "out_of_range");

    public int? OptionalInteger(string name, int low, int high) => Has(name) ? Integer(name, null, low, high) : null;

    public long Long(string name, long otherwise, long low, long high)
    {
        if (Find(name) is not { } value) return otherwise;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var number) || number < low || number > high)
            throw OutOfRange(name, $"a whole number from {low} to {high}", value);
        return number;
    }

    public double Number(string name, double? otherwise, double low, double high)
    {
        if (Find(name) is not { } value) return otherwise ?? throw Missing(name, $"a number from {low} to {high}");
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out var number) || !(number >= low && number <= high))
            throw OutOfRange(name, $"a number from {low} to {high}", value);
        return number;
    }

    public double? OptionalNumber(string name, double low, double high) => Has(name) ? Number(name, null, low, high) : null;

    public bool Flag(string name, bool otherwise)
    {
        if (Find(name) is not { } value) return otherwise;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Invalid(At(name), $"{Where(At(name))} must be true or false, not {Shown(value)}."),
        };
    }

    public string Choice(string name, string? otherwise, params ReadOnlySpan<string> allowed)
    {
        var all = string.Join(", ", allowed);
        if (Find(name) is not { } value) return otherwise ?? throw Missing(name, $"one of {all}");
        if (value.ValueKind == JsonValueKind.String && allowed.Contains(value.GetString()!)) return value.GetString()!;
        throw new InvalidInputException($"{Where(At(name))} must be one of {all}, not {Shown(value)}.", At(name), "unknown_value");
    }

    /// <summary>A string of 1 to <paramref name="longest"/> characters.</summary>
    public string Text(string name, string? otherwise, int longest)
    {
        if (Find(name) is not { } value) return otherwise ?? throw Missing(name, $"a string of 1 to {longest} characters");
        return TextOf(value, At(name), longest);
    }

    /// <summary>The field as it stands, or null.</summary>
    public JsonElement? Element(string name) => Find(name);

    /// <summary>The field's items with the path of each; none where the field is missing.</summary>
    public IReadOnlyList<(JsonElement Value, string Path)> Items(string name, int most)
    {
        if (Find(name) is not { } value) return [];
        if (value.ValueKind != JsonValueKind.Array) throw Invalid(At(name), $"{Where(At(name))} must be a list, not {Shown(value)}.");
        if (value.GetArrayLength() > most) throw Invalid(At(name), $"{Where(At(name))} has {value.GetArrayLength()} items; at most {most} are allowed.", "out_of_range");
        return [.. value.EnumerateArray().Select((item, i) => (item, $"{At(name)}[{i}]"))];
    }

    /// <summary>A field that is an object, read with the same list of references.</summary>
    public OptionReader Inside(JsonElement element, string path) => new(element, path) { References = References };

    /// <summary>An id, or <c>{"from":"STAGE"}</c>.</summary>
    public StageReference Reference(string name, Artifact kind)
    {
        var what = $"the id of a {kind.ToString().ToLowerInvariant()} or {{\"from\":\"STAGE\"}}";
        return Find(name) is { } value ? ReferenceOf(value, At(name), kind) : throw Missing(name, what);
    }

    public StageReference ReferenceOf(JsonElement value, string path, Artifact kind)
    {
        StageReference reference;
        if (value.ValueKind == JsonValueKind.Object)
        {
            var inner = new OptionReader(value, path);
            reference = new(path, kind, null, inner.Text("from", null, 64));
            inner.RefuseUnknown();
        }
        else reference = new(path, kind, TextOf(value, path, 200), null);
        References.Add(reference);
        return reference;
    }

    /// <summary>Call last: a field that nothing read is refused by name, with the names there are.</summary>
    public void RefuseUnknown()
    {
        foreach (var name in fields.Keys.Except(known))
            throw new InvalidInputException($"{Where(At(name))} is not a field here. The fields are {string.Join(", ", known.Distinct().Order(StringComparer.Ordinal))}.", At(name), "unknown_field");
    }

    public static InvalidInputException Invalid(string path, string message, string code = "invalid_value") => new(message, path, code);

    public static string Shown(JsonElement value)
    {
        var text = value.GetRawText();
        return text.Length <= 60 ? text : text[..57] + "...";
    }

    private static string Where(string path) => path.Length == 0 ? "The body" : $"'{path}'";

    private static string TextOf(JsonElement value, string path, int longest)
    {
        if (value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text && text.Length <= longest) return text;
        throw Invalid(path, $"{Where(path)} must be a string of 1 to {longest} characters, not {Shown(value)}.");
    }

    private JsonElement? Find(string name)
    {
        known.Add(name);
        return fields.TryGetValue(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    private InvalidInputException Missing(string name, string allowed) => new($"{Where(At(name))} is missing: {allowed} is needed.", At(name), "missing");

    private InvalidInputException OutOfRange(string name, string allowed, JsonElement value) =>
        new($"{Where(At(name))} must be {allowed}, not {Shown(value)}.", At(name), "out_of_range");
}
