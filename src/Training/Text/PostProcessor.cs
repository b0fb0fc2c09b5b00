using System.Text.Json;

namespace Gradus.Training.Text;

/// <summary>What a file's post-processor puts around the ids of a text. ByteLevel there moves offsets alone, which nobody asks for here.</summary>
internal sealed class PostProcessor
{
    private const string Known = "ByteLevel, Sequence, TemplateProcessing";

    /// <summary>What a template may say in all, so that no text becomes endless.</summary>
    private const int MostPieces = 100, MostIds = 1000;

    private List<int[]?>? template; // ids to put in; null stands for the text's own

    private PostProcessor()
    {
    }

    /// <param name="isToken">Whether an id stands for a token.</param>
    public static PostProcessor Read(JsonElement file, Func<int, bool> isToken)
    {
        var result = new PostProcessor();
        if (TokenizerJson.Has(file, "post_processor", out var part)) result.Add(part, "post_processor", isToken);
        return result;
    }

    /// <summary>The ids with what is put around them.</summary>
    /// <param name="special">False leaves the template's own tokens out.</param>
    public int[] Apply(List<int> ids, bool special) =>
        template is null ? [.. ids] : [.. template.SelectMany(piece => piece is null ? ids : special ? (IEnumerable<int>)piece : [])];

    private void Add(JsonElement part, string where, Func<int, bool> isToken)
    {
        switch (TokenizerJson.TypeOf(part, where))
        {
            case "ByteLevel": break;
            case "Sequence":
                foreach (var (item, place) in TokenizerJson.Items(part, "processors", where)) Add(item, place, isToken);
                break;
            case "TemplateProcessing" when template is null:
                template = [.. TokenizerJson.Items(part, "single", where).Take(MostPieces + 1).Select(piece => Piece(piece.Item, part, where, isToken))];
                if (template.Count > MostPieces) throw new InvalidInputException($"tokenizer.json: '{where}.single' may have {MostPieces} pieces.", where, "out_of_range");
                break;
            case "TemplateProcessing": throw TokenizerJson.Unsupported(where, "a second TemplateProcessing", "one");
            case var other: throw TokenizerJson.Unsupported(where, other, Known);
        }
    }

    private static int[]? Piece(JsonElement piece, JsonElement part, string where, Func<int, bool> isToken)
    {
        if (TokenizerJson.Has(piece, "Sequence", out var sequence))
            return TokenizerJson.Text(sequence, "id") is "A" ? null : throw new InvalidInputException($"tokenizer.json: '{where}.single' must have the sequence A alone.", where);
        if (!TokenizerJson.Has(piece, "SpecialToken", out var special) || TokenizerJson.Text(special, "id") is not { } name)
            throw new InvalidInputException($"tokenizer.json: each piece of '{where}.single' must be a Sequence or a SpecialToken with an 'id'.", where);
        if (!TokenizerJson.Has(part, "special_tokens", out var known) || !TokenizerJson.Has(known, name, out var token))
            throw new InvalidInputException($"tokenizer.json: '{where}.single' has the token '{TokenizerJson.Shortened(name)}', which is not in '{where}.special_tokens'.", where);
        var ids = new List<int>();
        foreach (var (item, place) in TokenizerJson.Items(token, "ids", $"{where}.special_tokens"))
        {
            if (!TokenizerJson.IsId(item, out var id) || !isToken(id) || ids.Count == MostIds)
                throw new InvalidInputException($"tokenizer.json: '{place}' of '{TokenizerJson.Shortened(name)}' must be the id of a token (at most {MostIds} of them); it is {TokenizerJson.Shortened(item.ToString())}.", where);
            ids.Add(id);
        }

        return [.. ids];
    }
}
