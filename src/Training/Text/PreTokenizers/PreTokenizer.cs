using System.Text.Json;
using Gradus.Training.Text.Patterns;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>Reads the pre-tokenizer of a tokenizer.json: the steps between a text and its model.</summary>
internal sealed class PreTokenizer
{
    private const string Known = "ByteLevel, Digits, Metaspace, Punctuation, Sequence, Split, Whitespace, WhitespaceSplit";

    private readonly List<Func<IPieceStep, IPieceStep>> steps = [];

    private PreTokenizer()
    {
    }

    /// <summary>The last step writes pieces in the alphabet of bytes; where the model does that itself, <see cref="Before"/> leaves it out.</summary>
    public bool EndsInBytes { get; private set; }

    public static PreTokenizer Read(JsonElement file)
    {
        var result = new PreTokenizer();
        if (TokenizerJson.Has(file, "pre_tokenizer", out var part)) result.Add(part, "pre_tokenizer");
        return result;
    }

    /// <summary>The first step, of those that end in <paramref name="model"/>.</summary>
    public IPieceStep Before(IPieceStep model, bool modelWritesBytes)
    {
        var step = model;
        for (var i = steps.Count - (modelWritesBytes && EndsInBytes ? 2 : 1); i >= 0; i--) step = steps[i](step);
        return step;
    }

    private void Add(JsonElement part, string where)
    {
        var type = TokenizerJson.TypeOf(part, where);
        if (type == "Sequence")
        {
            foreach (var (item, place) in TokenizerJson.Items(part, "pretokenizers", where)) Add(item, place);
            return;
        }

        EndsInBytes = type == "ByteLevel";
        switch (type)
        {
            case "ByteLevel":
                if (TokenizerJson.Flag(part, "add_prefix_space", true)) steps.Add(next => new PrefixSpacePreTokenizer(next));
                if (TokenizerJson.Flag(part, "use_regex", true)) Split(ByteLevelPreTokenizer.Pattern, where, SplitBehavior.Isolated);
                steps.Add(next => new ByteLevelPreTokenizer(next));
                break;
            case "Digits": Split(@"\p{N}", where, TokenizerJson.Flag(part, "individual_digits", false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous); break;
            case "Punctuation": Split(@"[\p{P}$+<=>^`|~]", where, SplitPreTokenizer.Behavior(part, where)); break;
            case "Whitespace": Split(@"\w+|[^\w\s]+", where, SplitBehavior.Removed, invert: true); break;
            case "WhitespaceSplit": Split(@"\s", where, SplitBehavior.Removed); break;
            case "Split":
                var pattern = TokenizerJson.Pattern(part, where);
                var behavior = SplitPreTokenizer.Behavior(part, where);
                var inverted = TokenizerJson.Flag(part, "invert", false);
                steps.Add(next => new SplitPreTokenizer(pattern, behavior, inverted, next));
                break;
            case "Metaspace":
                var (replacement, scheme) = MetaspacePreTokenizer.Read(part, where);
                var split = TokenizerJson.Flag(part, "split", true);
                steps.Add(next => new MetaspacePreTokenizer(replacement, scheme, split, next));
                break;
            default: throw TokenizerJson.Unsupported(where, type, Known);
        }

        // Each step is a call inside the one before.
        if (steps.Count > TokenizerJson.MostSteps) throw TokenizerJson.TooMany(where);
    }

    private void Split(string pattern, string where, SplitBehavior behavior, bool invert = false)
    {
        var parsed = TextPattern.Parse(pattern, where);
        steps.Add(next => new SplitPreTokenizer(parsed, behavior, invert, next));
    }
}
