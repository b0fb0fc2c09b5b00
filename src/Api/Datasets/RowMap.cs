using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Api.Operations;
using Gradus.Training;

namespace Gradus.Api.Datasets;

/// <summary>
/// How rows of another form become rows that stages can use: a row as it should be, in which <c>{"field":NAME}</c> stands for the text of a field of the row that came and
/// <c>{"join":[...]}</c> for its parts in one. <c>{"field":"answer","after":"####"}</c> is what stands behind the last "####", <c>before</c> what stands in front of it, and
/// <c>"without":["&lt;&lt;","&gt;&gt;"]</c> leaves out what stands between two marks, and the marks; each without the white space around it. Everything else stands for itself.
/// </summary>
internal sealed class RowMap
{
    /// <summary>Uses of a field: what a row can grow by.</summary>
    private const int MostFields = 16;

    private readonly JsonElement template;
    private int fields;

    private RowMap(JsonElement template)
    {
        this.template = template;
        if (template.ValueKind != JsonValueKind.Object) throw Invalid("map", "must be an object: a row as it should be");
        Check(template, "map", nested: true);
        if (fields is 0 or > MostFields) throw Invalid("map", $"must use from 1 to {MostFields} fields of the rows, as {{\"field\":\"NAME\"}}; it uses {fields}");
    }

    /// <exception cref="InvalidInputException">With the place and what is allowed there.</exception>
    public static RowMap Of(JsonElement template) => new(template);

    /// <inheritdoc cref="Of"/>
    public static RowMap Parse(string json)
    {
        try
        {
            var template = JsonElement.Parse(json, new JsonDocumentOptions { MaxDepth = 16, AllowDuplicateProperties = false });
            StorableJson.Check(template, "map");
            return new(template);
        }
        catch (JsonException wrong)
        {
            throw new InvalidInputException($"'map' is not valid JSON: {JsonBody.Place(wrong)}", "map", "invalid_json");
        }
    }

    /// <param name="row">An object.</param>
    /// <exception cref="InvalidInputException">The row lacks what the map asks for.</exception>
    public JsonElement Apply(JsonElement row) => JsonSerializer.SerializeToElement(Fill(template, row));

    private static JsonNode? Fill(JsonElement part, JsonElement row) => part.ValueKind switch
    {
        JsonValueKind.Array => new JsonArray([.. part.EnumerateArray().Select(item => Fill(item, row))]),
        JsonValueKind.Object when part.TryGetProperty("field", out var name) => JsonValue.Create(FieldText(part, name.GetString()!, row)),
        JsonValueKind.Object when part.TryGetProperty("join", out var parts) => JsonValue.Create(string.Concat(parts.EnumerateArray().Select(item => Fill(item, row)!.GetValue<string>()))),
        JsonValueKind.Object => new JsonObject(part.EnumerateObject().Select(field => KeyValuePair.Create(field.Name, Fill(field.Value, row)))),
        _ => JsonSerializer.SerializeToNode(part),
    };

    private static string FieldText(JsonElement part, string name, JsonElement row)
    {
        if (!row.TryGetProperty(name, out var value)) throw new InvalidInputException($"The map asks for the field '{name}'; this row has {RowCheck.Fields(row)}.");
        if (value.ValueKind is not (JsonValueKind.String or JsonValueKind.Number)) throw new InvalidInputException($"The map asks for the field '{name}', which must be a text or a number.");
        var text = value.ToString();
        if (part.TryGetProperty("before", out var mark)) text = text[..Find(mark, out _)];
        if (part.TryGetProperty("after", out mark)) text = text[(Find(mark, out var length) + length)..];
        if (part.TryGetProperty("without", out var pair)) text = Without(text, pair[0].GetString()!, pair[1].GetString()!);
        return text.Trim() is { Length: > 0 } trimmed ? trimmed : throw new InvalidInputException($"What the map takes of the field '{name}' is empty.");

        int Find(JsonElement mark, out int length)
        {
            var sought = mark.GetString()!;
            length = sought.Length;
            var place = text.LastIndexOf(sought, StringComparison.Ordinal);
            return place >= 0 ? place : throw new InvalidInputException($"The map asks for '{sought}' in the field '{name}', where it does not stand.");
        }
    }

    private static string Without(string text, string open, string close)
    {
        var kept = new System.Text.StringBuilder(text.Length);
        var from = 0;
        while (text.IndexOf(open, from, StringComparison.Ordinal) is >= 0 and var start && text.IndexOf(close, start + open.Length, StringComparison.Ordinal) is >= 0 and var end)
        {
            kept.Append(text, from, start - from);
            from = end + close.Length;
        }
        return kept.Append(text, from, text.Length - from).ToString();
    }

    private void Check(JsonElement part, string place, bool nested)
    {
        if (part.ValueKind == JsonValueKind.Array && nested)
        {
            foreach (var (item, index) in part.EnumerateArray().Select((item, index) => (item, index))) Check(item, $"{place}[{index}]", nested);
        }
        else if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("field", out var name))
        {
            fields++;
            RequireText(name, $"{place}.field");
            foreach (var field in part.EnumerateObject().Where(field => field.Name != "field")) CheckCut(field, $"{place}.{field.Name}");
        }
        else if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("join", out var parts))
        {
            if (parts.ValueKind != JsonValueKind.Array || parts.GetArrayLength() == 0 || part.EnumerateObject().Count() > 1)
                throw Invalid($"{place}.join", "must be a list of texts and of {\"field\":\"NAME\"}, not empty, and stands alone");
            foreach (var (item, index) in parts.EnumerateArray().Select((item, index) => (item, index))) Check(item, $"{place}.join[{index}]", nested: false);
        }
        else if (part.ValueKind == JsonValueKind.Object && nested)
        {
            foreach (var field in part.EnumerateObject()) Check(field.Value, $"{place}.{field.Name}", nested);
        }
        else if (!nested && part.ValueKind != JsonValueKind.String) throw Invalid(place, "must be a text or {\"field\":\"NAME\"}");
    }

    private static void CheckCut(JsonProperty cut, string place)
    {
        if (cut.Name is "before" or "after") RequireText(cut.Value, place);
        else if (cut.Name != "without") throw new InvalidInputException($"'{place}' is not known beside 'field'; known are before, after and without.", place, "unknown_field");
        else if (cut.Value.ValueKind != JsonValueKind.Array || cut.Value.GetArrayLength() != 2) throw Invalid(place, "must be a list of two texts: what opens and what closes");
        else foreach (var mark in cut.Value.EnumerateArray()) RequireText(mark, place);
    }

    private static void RequireText(JsonElement value, string place)
    {
        if (value.ValueKind != JsonValueKind.String || value.GetString()!.Length is 0 or > 200) throw Invalid(place, "must be a text of 1 to 200 characters");
    }

    private static InvalidInputException Invalid(string place, string must) => new($"'{place}' {must}.", place, "invalid_value");
}
