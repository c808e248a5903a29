class Kvnet < Formula
  desc "KubeVirt clusters with several networks"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license "Apache-2.0"
  depends_on :linux

  on_linux do
    # each archive
    on_@CPU@ do
      url "@URL@"
      sha256 "@SHA256@"
    end
    # end
  end

  def install
    bin.install "kvnet"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/bash" => "kvnet"
    fish_completion.install "completions/fish" => "kvnet.fish"
    zsh_completion.install "completions/zsh" => "_kvnet"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/kvnet --version")
  end
end
