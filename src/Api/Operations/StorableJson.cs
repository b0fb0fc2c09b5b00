using System.Text.Json;
using Gradus.Training;

namespace Gradus.Api.Operations;

/// <summary>Finds what JSON allows and Postgres' jsonb does not: U+0000, half a surrogate pair, numbers beyond a double. Depth is bounded by the parser before.</summary>
internal static class StorableJson
{
    /// <exception cref="InvalidInputException">With the path of the first such value.</exception>
    public static void Check(JsonElement value, string path = "")
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var field in value.EnumerateObject())
                {
                    var name = Text(() => field.Name, path);
                    Check(field.Value, path.Length == 0 ? name : $"{path}.{name}");
                }
                break;
            case JsonValueKind.Array:
                var index = 0;
                foreach (var item in value.EnumerateArray()) Check(item, $"{path}[{index++}]");
                break;
            case JsonValueKind.String:
                Text(() => value.GetString()!, path);
                break;
            case JsonValueKind.Number:
                var raw = value.GetRawText();
                if (raw.Length > 400 || !double.IsFinite(value.GetDouble()) || (value.GetDouble() == 0 && raw.AsSpan().IndexOfAnyInRange('1', '9') is >= 0 and var digit && raw.IndexOfAny(['e', 'E']) is var exponent && (exponent < 0 || digit < exponent)))
                    throw Wrong(path, "holds a number that a 64-bit float cannot");
                break;
        }
    }

    private static string Text(Func<string> read, string path)
    {
        string text;
        try
        {
            text = read();
        }
        catch (InvalidOperationException)
        {
            throw Wrong(path, "holds half a surrogate pair, which is no character");
        }
        return text.Contains('\0', StringComparison.Ordinal) ? throw Wrong(path, "holds U+0000, which cannot be kept") : text;
    }

    private static InvalidInputException Wrong(string path, string what) =>
        new(path.Length == 0 ? $"The value {what}." : $"'{path}' {what}.", path.Length == 0 ? null : path, "invalid_value");
}
