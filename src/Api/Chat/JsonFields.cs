using System.Text.Json;
using Gradus.Training;

namespace Gradus.Api.Chat;

/// <summary>The fields of one object, read leniently: a field that is null is absent; one of the wrong kind or out of range is refused by name.</summary>
internal sealed class JsonFields(JsonElement body, string prefix = "")
{
    public bool Has(string name, out JsonElement value) => body.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    public string? Text(string name) =>
        !Has(name, out var value) ? null : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(name, "a text", value);

    public bool? Flag(string name) =>
        !Has(name, out var value) ? null : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(name, "true or false", value);

    public long? Integer(string name, long low, long high)
    {
        if (!Has(name, out var value)) return null;
        var range = high == int.MaxValue ? $"an integer of at least {low}" : $"an integer from {low} to {high}";
        if (value.ValueKind != JsonValueKind.Number) throw Wrong(name, range, value);
        // 3.0 is an integer to many clients.
        if (!value.TryGetInt64(out var number))
        {
            var real = value.GetDouble();
            if (real != Math.Floor(real) || Math.Abs(real) > 1L << 53) throw Wrong(name, range, value, "out_of_range");
            number = (long)real;
        }
        return number >= low && number <= high ? number : throw Wrong(name, range, value, "out_of_range");
    }

    public double? Number(string name, double low, double high, bool lowIsOutside = false)
    {
        if (!Has(name, out var value)) return null;
        var range = lowIsOutside ? $"a number above {low} and at most {high}" : $"a number from {low} to {high}";
        if (value.ValueKind != JsonValueKind.Number) throw Wrong(name, range, value);
        var number = value.GetDouble();
        return (lowIsOutside ? number > low : number >= low) && number <= high ? number : throw Wrong(name, range, value, "out_of_range");
    }

    public static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Null => "null",
        _ => value.GetRawText() is { Length: <= 40 } raw ? raw : "a number of many digits",
    };

    private InvalidInputException Wrong(string name, string expected, JsonElement value, string code = "invalid_type") =>
        new($"{prefix}{name} must be {expected}; {Kind(value)} came.", prefix + name, code);
}

internal static class JsonText
{
    /// <summary>Whether it is that string; false for every other kind.</summary>
    public static bool ValueEqualsText(this JsonElement value, string text) => value.ValueKind == JsonValueKind.String && value.ValueEquals(text);
}
