using System.Text.Json;
using Gradus.Training.Text.Patterns;

namespace Gradus.Training.Text;

/// <summary>
/// Reads the parts of a tokenizer.json. It owns the words of a refusal: whatever the format has and this code has not is refused by its name,
/// never passed over, because a text cut in another way than in training is a silent loss.
/// </summary>
internal static class TokenizerJson
{
    /// <summary>Ids end here. The largest published vocabulary has 901,629 tokens.</summary>
    public const int LargestId = (1 << 22) - 1;

    /// <summary>Normalizers, steps before the model, and decoders: so many of each, Sequences taken apart.</summary>
    public const int MostSteps = 64;

    /// <summary>What one step may put into a text; a text cannot grow without bound that way.</summary>
    public const int LongestInsertion = 1024;

    /// <summary>The <c>type</c> of a part, or a refusal where it has none.</summary>
    public static string TypeOf(JsonElement part, string where) =>
        part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String
            ? type.GetString()!
            : throw new InvalidInputException($"tokenizer.json: '{where}' needs a 'type'.", where, "missing");

    /// <summary>The refusal of a part that stands in the format but not here.</summary>
    public static InvalidInputException Unsupported(string where, string what, string known) =>
        new($"tokenizer.json: {where} '{what}' is not supported; supported: {known}.", where, "unknown_value");

    public static InvalidInputException TooMany(string where) =>
        new($"tokenizer.json: '{where}' is one step more than the {MostSteps} that are allowed.", where, "out_of_range");

    /// <summary>A field that is true or false; <paramref name="otherwise"/> where absent or null.</summary>
    public static bool Flag(JsonElement part, string name, bool otherwise) => !Has(part, name, out var value)
        ? otherwise
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw new InvalidInputException($"tokenizer.json: '{name}' must be true or false; it is {value.ValueKind}.", name);

    /// <summary>A string field, null where absent or null.</summary>
    public static string? Text(JsonElement part, string name) => !Has(part, name, out var value)
        ? null
        : value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : throw new InvalidInputException($"tokenizer.json: '{name}' must be a text; it is {value.ValueKind}.", name);

    /// <summary>A text that a step inserts.</summary>
    public static string Insertion(JsonElement part, string name, string where) => Text(part, name) is { Length: <= LongestInsertion } text
        ? text
        : throw new InvalidInputException($"tokenizer.json: '{where}.{name}' must be a text of at most {LongestInsertion} characters.", where);

    /// <summary>A field of one character.</summary>
    public static char Character(JsonElement part, string name, string where) => Text(part, name) is { Length: 1 } text
        ? text[0]
        : throw new InvalidInputException($"tokenizer.json: '{where}.{name}' must be one character.", where);

    /// <summary>A whole number from 0 to 1000.</summary>
    public static int Count(JsonElement part, string name, string where) => !Has(part, name, out var value)
        ? 0
        : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var count) && count is >= 0 and <= 1000
            ? count
            : throw new InvalidInputException($"tokenizer.json: '{where}.{name}' must be a whole number from 0 to 1000; it is {value}.", where, "out_of_range");

    /// <summary>An id of a token.</summary>
    public static bool IsId(JsonElement value, out int id)
    {
        id = -1;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out id) && id is >= 0 and <= LargestId;
    }

    /// <summary>The field where it is there and not null.</summary>
    public static bool Has(JsonElement part, string name, out JsonElement value)
    {
        value = default;
        return part.ValueKind == JsonValueKind.Object && part.TryGetProperty(name, out value) && value.ValueKind is not (JsonValueKind.Null or JsonValueKind.Undefined);
    }

    /// <summary>The elements of a list, each with its place.</summary>
    public static IEnumerable<(JsonElement Item, string Where)> Items(JsonElement part, string name, string where) =>
        Has(part, name, out var list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Select((item, i) => (item, $"{where}.{name}[{i}]"))
            : throw new InvalidInputException($"tokenizer.json: '{where}.{name}' must be a list.", where, "missing");

    /// <summary><c>"pattern": {"String": ...}</c>, or <c>Regex</c>.</summary>
    public static TextPattern Pattern(JsonElement part, string where)
    {
        const int Longest = 10_000;
        var pattern = Has(part, "pattern", out var field) ? field : default;
        var (text, literal) = Text(pattern, "String") is { } plain ? (plain, true) : (Text(pattern, "Regex"), false);
        if (text is not { Length: > 0 and <= Longest })
            throw new InvalidInputException($"tokenizer.json: '{where}.pattern' must be an object with 'String' or 'Regex', of 1 to {Longest} characters.", where, "missing");
        return literal ? TextPattern.Literal(text, where) : TextPattern.Parse(text, where);
    }

    /// <summary><c>{"token": id, ...}</c> of a model; each id once.</summary>
    public static Dictionary<string, int> Vocabulary(JsonElement model)
    {
        if (!Has(model, "vocab", out var vocab) || vocab.ValueKind != JsonValueKind.Object)
            throw new InvalidInputException("tokenizer.json: 'model.vocab' must be an object of token to id.", "model.vocab", "missing");
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        var seen = new HashSet<int>();
        foreach (var entry in vocab.EnumerateObject())
        {
            if (!IsId(entry.Value, out var id) || !seen.Add(id))
                throw new InvalidInputException($"tokenizer.json: the id of token '{Shortened(entry.Name)}' must be a whole number from 0 to {LargestId} that no other token has; it is {Shortened(entry.Value.ToString())}.", "model.vocab");
            ids[entry.Name] = id;
        }

        return ids;
    }

    /// <summary>For a message: not more of a hostile name than one wants to read.</summary>
    public static string Shortened(string text) => text.Length <= 100 ? text : string.Concat(text.AsSpan(0, 100), "...");
}
