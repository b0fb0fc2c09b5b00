using System.Text.Json;
using System.Text.RegularExpressions;
using Gradus.Tests;
using Xunit;

namespace Gradus.Repo.Tests;

public sealed partial class ReadmeTests
{
    private static readonly string readme = Repository.Read("README.md");

    [Fact]
    public void The_tree_names_each_folder_and_what_it_names_is_there_and_so_are_the_commands()
    {
        var tree = Tree();
        // Every file at the top, every folder there, and every folder of a project, has its line.
        var parts = Repository.Files.Select(file => file.Split('/')).ToList();
        var expected = parts.Select(path => path.Length == 1 ? path[0] : $"{path[0]}/")
            .Concat(parts.Where(path => path[0] is "src" or "tests" or "bench" or "docs" && path.Length > 2).Select(path => $"{path[0]}/{path[1]}/"))
            .Concat(parts.Where(path => path[0] is "src" && path.Length > 3).Select(path => $"{path[0]}/{path[1]}/{path[2]}/"))
            .Distinct().ToList();
        Assert.Empty(expected.Except(tree));
        Assert.DoesNotContain(tree, path => !Repository.Files.Any(file => path.EndsWith('/') ? file.StartsWith(path, StringComparison.Ordinal) : file == path));

        Assert.Empty(Linked().Matches(readme).Select(match => match.Groups[1].Value).Except(Repository.Files));
        foreach (var command in Commands().Matches(readme).Select(match => (Script: match.Groups[1].Value, Option: match.Groups[2].Value)).Distinct())
            Assert.Contains($"{command.Option})", Repository.Read(command.Script), StringComparison.Ordinal);
        foreach (var file in Sources().Matches(readme).Select(match => match.Groups[1].Value))
            Assert.Contains(Repository.Files, path => path.EndsWith("/" + file, StringComparison.Ordinal));
    }

    [Fact]
    public void The_routes_that_its_commands_call_are_there_and_their_bodies_are_json()
    {
        var routes = Repository.Files.Where(file => file.StartsWith("src/Api/", StringComparison.Ordinal) && file.EndsWith(".cs", StringComparison.Ordinal))
            .SelectMany(file => Routes().Matches(Repository.Read(file))).Select(match => (Verb: match.Groups[1].Value.Replace("Download", "Get", StringComparison.Ordinal), Pattern: $"^{Parameter().Replace(match.Groups[2].Value, "[^/]+")}$")).ToList();
        Assert.InRange(ReadmeCommands.All.Count, 15, 60);
        foreach (var (verb, path, body) in ReadmeCommands.All)
        {
            Assert.True(routes.Any(route => route.Verb == verb && Regex.IsMatch(path, route.Pattern)), $"{verb} {path} is no route.");
            if (body is not null) Assert.Equal(JsonValueKind.Object, JsonElement.Parse(body).ValueKind);
        }
    }

    /// <summary>The lines of the block below "The files": two spaces a level, a name (a folder's ends in a slash), a purpose.</summary>
    private static List<string> Tree()
    {
        var block = readme[readme.IndexOf("## The files", StringComparison.Ordinal)..].Split("```")[1];
        List<string> folders = [], tree = [];
        foreach (Match line in Lines().Matches(block))
        {
            var depth = line.Groups[1].Length / 2;
            folders.RemoveRange(depth, folders.Count - depth);
            tree.Add(string.Concat(folders) + line.Groups[2].Value);
            if (line.Groups[2].Value.EndsWith('/')) folders.Add(line.Groups[2].Value);
        }
        return tree;
    }

    [GeneratedRegex(@"^( *)(\S+) {2,}\S", RegexOptions.Multiline)]
    private static partial Regex Lines();

    [GeneratedRegex(@"Map(Get|Post|Download)\(""(/[^""]+)""")]
    private static partial Regex Routes();

    [GeneratedRegex(@"\{[^}]+\}")]
    private static partial Regex Parameter();

    [GeneratedRegex(@"\]\(([^):]+)\)")]
    private static partial Regex Linked();

    /// <summary>`./SCRIPT --OPTION`.</summary>
    [GeneratedRegex(@"\./([a-z]+\.sh) (--[a-z-]+)")]
    private static partial Regex Commands();

    /// <summary>`Folder/File.cs` in the walks through the files and in the table of changes.</summary>
    [GeneratedRegex(@"`(?:src/\w+/|tests/)?((?:[\w.]+/)*\w+\.cs)`")]
    private static partial Regex Sources();
}
