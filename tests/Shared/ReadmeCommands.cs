using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Gradus.Tests;

/// <summary>The curl commands of the README, each a line of a block of shell with what it goes on with.</summary>
internal static partial class ReadmeCommands
{
    /// <param name="Body">What follows -d or map=; null where nothing of that kind is sent.</param>
    public static IReadOnlyList<(string Verb, string Path, string? Body)> All { get; } =
        [.. Blocks().Matches(Readme()).SelectMany(block => Calls().Matches(block.Groups[1].Value.Replace("\\\n", " ", StringComparison.Ordinal))).Select(Read)];

    private static string Readme([CallerFilePath] string thisFile = "") => File.ReadAllText(Path.Combine(Path.GetDirectoryName(thisFile)!, "..", "..", "README.md"));

    private static (string Verb, string Path, string? Body) Read(Match call)
    {
        var text = call.Value;
        var body = Bodies().Match(text);
        var sends = body.Success || text.Contains(" -F ", StringComparison.Ordinal) || text.Contains("-X POST", StringComparison.Ordinal);
        return (sends ? "Post" : "Get", Paths().Match(text).Groups[1].Value, body.Success ? body.Groups[1].Value : null);
    }

    [GeneratedRegex(@"^```sh\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Blocks();

    /// <summary>A call ends with its line, but not inside of quotes.</summary>
    [GeneratedRegex(@"curl (?:'[^']*'|[^'\n|)])*")]
    private static partial Regex Calls();

    [GeneratedRegex(@"localhost:5080(/[^\s'""?]*)")]
    private static partial Regex Paths();

    [GeneratedRegex(@"(?:-d '|map=)([^']*)'")]
    private static partial Regex Bodies();
}
