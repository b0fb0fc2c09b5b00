using System.Text;
using System.Text.Json;
using Gradus.Training.Text.PreTokenizers;

namespace Gradus.Training.Text.Decoders;

/// <summary>The decoder of a tokenizer.json: a chain of steps, made anew for each sequence.</summary>
internal sealed class TokenDecoder
{
    private const string Known = "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, Strip";

    private readonly List<Func<DecodeStep, DecodeStep>> steps = [];

    private TokenDecoder()
    {
    }

    public static TokenDecoder Read(JsonElement file)
    {
        if (!TokenizerJson.Has(file, "decoder", out var part)) throw TokenizerJson.Unsupported("decoder", "null", Known);
        var result = new TokenDecoder();
        result.Add(part, "decoder");
        return result;
    }

    /// <summary>The first step of a chain that writes to <paramref name="text"/>.</summary>
    public DecodeStep Open(StringBuilder text)
    {
        DecodeStep step = new WriteStep(text);
        for (var i = steps.Count - 1; i >= 0; i--) step = steps[i](step);
        return step;
    }

    private void Add(JsonElement part, string where)
    {
        var type = TokenizerJson.TypeOf(part, where);
        switch (type)
        {
            case "Sequence":
                foreach (var (item, place) in TokenizerJson.Items(part, "decoders", where)) Add(item, place);
                return;
            case "ByteLevel": steps.Add(next => new ByteLevelStep(next)); break;
            case "ByteFallback": steps.Add(next => new ByteFallbackStep(next)); break;
            case "Fuse": steps.Add(next => new FuseStep(next)); break;
            case "Metaspace":
                var (replacement, scheme) = MetaspacePreTokenizer.Read(part, where);
                steps.Add(next => new MetaspaceStep(replacement, scheme != PrependScheme.Never, next));
                break;
            case "Strip":
                var (stripped, start, stop) = (TokenizerJson.Character(part, "content", where), TokenizerJson.Count(part, "start", where), TokenizerJson.Count(part, "stop", where));
                steps.Add(next => new StripStep(stripped, start, stop, next));
                break;
            case "Replace":
                var content = TokenizerJson.Insertion(part, "content", where);
                if (TokenizerJson.Has(part, "pattern", out var field) && TokenizerJson.Text(field, "String") is { Length: > 0 and <= TokenizerJson.LongestInsertion } literal)
                {
                    steps.Add(next => new ReplaceTextStep(literal, content, next));
                    break;
                }

                var pattern = TokenizerJson.Pattern(part, where);
                steps.Add(next => new ReplacePatternStep(pattern, content, next));
                break;
            default: throw TokenizerJson.Unsupported(where, type, Known);
        }

        if (steps.Count > TokenizerJson.MostSteps) throw TokenizerJson.TooMany(where);
    }

    private sealed class WriteStep(StringBuilder target) : DecodeStep
    {
        public override void Part(ReadOnlySpan<char> text) => target.Append(text);

        public override void EndToken()
        {
        }

        public override void End()
        {
        }
    }
}
