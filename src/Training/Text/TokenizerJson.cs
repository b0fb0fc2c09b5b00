using System.Text.Json;

namespace Gradus.Training.Text;

/// <summary>
/// Reads the parts of a tokenizer.json. It owns the words of a refusal: whatever the format has and this code has not is refused by its name,
/// never passed over, because a text cut in another way than in training is a silent loss.
/// </summary>
internal static class TokenizerJson
{
    /// <summary>The <c>type</c> of a part, or a refusal where it has none.</summary>
    public static string TypeOf(JsonElement part, string where) =>
        part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String
            ? type.GetString()!
            : throw new InvalidInputException($"tokenizer.json: '{where}' needs a 'type'.", where, "missing");

    /// <summary>The refusal of a part that stands in the format but not here.</summary>
    public static InvalidInputException Unsupported(string where, string what, string known) =>
        new($"tokenizer.json: {where} '{what}' is not supported; supported: {known}.", where, "unknown_value");

    public static bool Flag(JsonElement part, string name, bool otherwise) =>
        part.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : otherwise;

    /// <summary>A string field, null where absent or null.</summary>
    public static string? Text(JsonElement part, string name) =>
        part.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>The field where it is there and not null.</summary>
    public static bool Has(JsonElement part, string name, out JsonElement value) =>
        part.TryGetProperty(name, out value) && value.ValueKind is not (JsonValueKind.Null or JsonValueKind.Undefined);

    /// <summary><c>{"token": id, ...}</c> of a model; ids are 0 to 16,777,215, each once.</summary>
    public static Dictionary<string, int> Vocabulary(JsonElement model)
    {
        if (!Has(model, "vocab", out var vocab) || vocab.ValueKind != JsonValueKind.Object)
            throw new InvalidInputException("tokenizer.json: 'model.vocab' must be an object of token to id.", "model.vocab", "missing");
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        var seen = new HashSet<int>();
        foreach (var entry in vocab.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetInt32(out var id) || id is < 0 or > 0xFFFFFF || !seen.Add(id))
                throw new InvalidInputException($"tokenizer.json: the id of token '{entry.Name}' must be a whole number from 0 to 16777215 that no other token has; it is {entry.Value}.", "model.vocab");
            ids[entry.Name] = id;
        }

        return ids;
    }
}
