using System.Text;
using System.Text.Json;

namespace Gradus.Training.Text;

/// <summary>Writes JSON values for jinja/render.js, which says the form. The depth is bounded before anything walks them recursively.</summary>
internal static class JinjaValues
{
    public static string Write(IReadOnlyList<KeyValuePair<string, JsonElement>> variables, int deepest)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartArray();
            json.WriteStringValue("map");
            foreach (var (name, value) in variables)
            {
                json.WriteStringValue(name);
                Write(json, value, deepest);
            }

            json.WriteEndArray();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    private static void Write(Utf8JsonWriter json, JsonElement value, int depth)
    {
        if (depth == 0) throw new InvalidInputException("A message or tool is nested too deeply for the chat template (at most 48 levels).", "messages", "out_of_range");
        switch (value.ValueKind)
        {
            case JsonValueKind.Array:
                json.WriteStartArray();
                json.WriteStringValue("list");
                foreach (var item in value.EnumerateArray()) Write(json, item, depth - 1);
                json.WriteEndArray();
                break;
            case JsonValueKind.Object:
                json.WriteStartArray();
                json.WriteStringValue("map");
                foreach (var field in value.EnumerateObject())
                {
                    json.WriteStringValue(field.Name);
                    Write(json, field.Value, depth - 1);
                }

                json.WriteEndArray();
                break;
            case JsonValueKind.Number when value.GetRawText().AsSpan().IndexOfAny('.', 'e', 'E') >= 0: // Python's rule: these are floats
                json.WriteStartArray();
                json.WriteStringValue("float");
                value.WriteTo(json);
                json.WriteEndArray();
                break;
            case JsonValueKind.Undefined:
                json.WriteNullValue();
                break;
            default:
                value.WriteTo(json);
                break;
        }
    }
}
